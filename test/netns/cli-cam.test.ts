// SPDX-License-Identifier: MIT
// nfkit cam, run as a user does and compared with bridge(8).

import { spawnSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { Netns } from '../../lib/index.js'
import { MAIN, nfkit, nfkitJson, plainEnvironment, withoutVlans } from '../support/cli.js'
import { bridgeJson, feed, lacks, run } from '../support/outside.js'

t.setTimeout(300_000)

const MAC = (n: number) => `02:00:5e:10:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`

/** A bridge with two ports that have carrier but no peers that talk by themselves. */
function setup(t: Test) {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  run(netns, 'sh', '-ec', `sysctl -qw net.ipv6.conf.default.disable_ipv6=1; ip link add br0 type bridge ${withoutVlans()}; ip link set br0 up
    for i in 0 1; do ip link add p$i type veth peer name q$i; ip link set p$i up master br0; ip link set q$i up; done
    bridge fdb add ${MAC(1)} dev p0 master static; bridge fdb add ${MAC(2)} dev p1 master static sticky; bridge fdb add ${MAC(3)} dev p1 self`)
  return netns
}

const outside = (netns: Netns, mac: string) => bridgeJson(netns, 'fdb', 'show', 'br', 'br0').filter((entry) => entry.mac === mac)
const brief = (entries: any[]) => entries.map(({ mac, port, state }) => `${mac} ${port} ${state}`)

t.test('show is what bridge shows', async (t) => {
  const netns = setup(t)
  const shown = await nfkitJson(netns, 'cam', 'show', 'br0')
  const kernel = bridgeJson(netns, 'fdb', 'show', 'br', 'br0').filter((entry) => entry.master !== undefined)
  t.same(brief(shown).sort(), kernel.map((entry) => `${entry.mac} ${entry.ifname} ${entry.state || 'learned'}`).sort())
  t.same(brief(shown), [...brief(shown)].sort((a, b) => (a.slice(18) < b.slice(18) ? -1 : a.slice(18) > b.slice(18) ? 1 : a < b ? -1 : 1)).sort((a, b) => a.split(' ')[1]!.localeCompare(b.split(' ')[1]!) || (a < b ? -1 : 1)), 'sorted by port, then address')
  const { stdout, stderr, status } = await nfkit(netns, ['cam', 'show', 'br0'])
  t.match({ status, stderr }, { status: 0, stderr: '' })
  const lines = stdout.trimEnd().split('\n')
  t.match(lines[0], /^MAC +PORT +VLAN +STATE +AGE +USED +FLAGS$/)
  t.equal(lines.length, 1 + shown.length)
  t.match(lines.find((line) => line.startsWith(MAC(2))), / p1 +- +static +\d+\.\d\d +\d+\.\d\d +sticky$/)
  const at = lines[0]!.indexOf('STATE')
  for (const line of lines.slice(1)) t.match(line.slice(at), /^(static|permanent|learned) /, 'aligned')
})

t.test('filters', async (t) => {
  const netns = setup(t)
  t.same(brief(await nfkitJson(netns, 'cam', 'show', 'br0', '--port', 'p1', '--state', 'static,learned')), [`${MAC(2)} p1 static`])
  t.same(await nfkitJson(netns, 'cam', 'show', 'br0', '--vlan', '7'), [])
  t.ok((await nfkitJson(netns, 'cam', 'show', 'br0', '--vlan=none', '--via', 'self')).some((entry: any) => entry.mac === MAC(3)))
  t.match(await nfkit(netns, ['cam', 'show', 'br0', '--port', 'nope']), { status: 1, stdout: '', stderr: /^nfkit: .*nope.*ENODEV/ })
})

t.test('lookup', async (t) => {
  const netns = setup(t)
  t.match(await nfkitJson(netns, 'cam', 'lookup', 'br0', MAC(2).toUpperCase()), [{ mac: MAC(2), port: 'p1', flags: ['sticky'] }])
  t.match(await nfkitJson(netns, 'cam', 'lookup', 'br0', MAC(2), '--vlan', 'none'), [{ mac: MAC(2) }])
  t.match(await nfkit(netns, ['cam', 'lookup', 'br0', MAC(9)]), { status: 1, stdout: '', stderr: /^nfkit: .*ENOENT/ })
  t.match(await nfkit(netns, ['cam', 'lookup', 'br0', MAC(9), '--json', '--vlan', '5']), { status: 1, stdout: '[]\n' }, 'JSON even then')
})

t.test('add, replace, delete, flush, seen by bridge', async (t) => {
  const netns = setup(t)
  const quiet = async (args: string[]) => t.match(await nfkit(netns, ['cam', ...args]), { status: 0, stdout: '', stderr: '' }, args.join(' '))
  await quiet(['add', 'br0', MAC(10), 'p0', '--sticky'])
  t.match(outside(netns, MAC(10)), [{ ifname: 'p0', state: 'static', flags: ['sticky'] }])
  await quiet(['add', 'br0', MAC(11), 'br0', '--permanent'])
  t.match(outside(netns, MAC(11)), [{ ifname: 'br0', state: 'permanent' }])
  await quiet(['add', 'br0', MAC(12), 'p1', '--dynamic', '--extern-learned'])
  t.match(outside(netns, MAC(12)), [{ ifname: 'p1', flags: ['extern_learn'] }])
  await quiet(['add', 'br0', MAC(13), 'p1', '--via', 'self'])
  t.match(outside(netns, MAC(13)), [{ flags: ['self'] }])
  t.match(await nfkit(netns, ['cam', 'add', 'br0', MAC(10), 'p1']), { status: 1, stderr: /EEXIST/ })
  t.match(await nfkitJson(netns, 'cam', 'add', 'br0', MAC(10), 'p1', '--replace'), [{ mac: MAC(10), port: 'p1' }])
  t.match(outside(netns, MAC(10)), [{ ifname: 'p1' }])
  t.match(await nfkit(netns, ['cam', 'delete', 'br0', MAC(10), '--port', 'p0']), { status: 1, stderr: /ENOENT/ }, 'not on that port')
  await quiet(['delete', 'br0', MAC(10)])
  t.same(outside(netns, MAC(10)), [])
  run(netns, 'bridge', 'fdb', 'add', MAC(14), 'dev', 'p1', 'master', 'dynamic')
  await quiet(['flush', 'br0', '--port', 'p1'])
  t.same(outside(netns, MAC(14)), [])
  t.equal(outside(netns, MAC(2)).length, 1, 'static ones stay')
  await quiet(['flush', 'br0', '--state', 'all'])
  t.same([MAC(1), MAC(2)].flatMap((mac) => outside(netns, mac)), [])
  t.ok(bridgeJson(netns, 'fdb', 'show', 'br', 'br0').some((entry) => entry.state === 'permanent'), 'own addresses stay')
})

t.test('VLANs', { skip: lacks('vlan-filtering') }, async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  run(netns, 'sh', '-ec', `ip link add br0 type bridge vlan_filtering 1; ip link set br0 up; ip link add p0 type veth peer name q0; ip link set p0 up master br0; ip link set q0 up
    bridge vlan add dev p0 vid 10; bridge vlan add dev p0 vid 20`)
  for (const vlan of ['10', '20']) t.equal((await nfkit(netns, ['cam', 'add', 'br0', MAC(1), 'p0', '--vlan', vlan])).status, 0)
  t.same(outside(netns, MAC(1)).map((entry) => entry.vlan).sort(), [10, 20])
  t.same((await nfkitJson(netns, 'cam', 'lookup', 'br0', MAC(1))).map((entry: any) => entry.vlan), [10, 20])
  t.match((await nfkit(netns, ['cam', 'lookup', 'br0', MAC(1), '--vlan', '20'])).stdout, /\n02:00:5e:10:00:01  p0 {6}20  static .*\n$/)
  t.equal((await nfkit(netns, ['cam', 'delete', 'br0', MAC(1), '--vlan', '10'])).status, 0)
  t.same(outside(netns, MAC(1)).map((entry) => entry.vlan), [20])
})

t.test('readers that stop, and outputs that are full', async (t) => {
  const netns = setup(t)
  feed(netns, Array.from({ length: 4000 }, (_, n) => `fdb add ${MAC(100 + n)} dev p0 master static\n`).join(''), 'bridge', '-b', '-')
  const shell = (script: string) => spawnSync('nsenter', [`--net=${netns.path}`, '--', 'sh', '-c', script, process.execPath, MAIN], { encoding: 'utf8', env: plainEnvironment() })
  t.match(shell('{ "$0" "$1" cam show br0; echo "status $?" >&2; } | head -1'), { stdout: /^MAC [^\n]*\n$/, stderr: 'status 0\n' })
  t.match(shell('"$0" "$1" cam show br0 --json > /dev/full'), { status: 1, stderr: /^nfkit: .*ENOSPC/ })
  t.equal((await nfkitJson(netns, 'cam', 'show', 'br0', '--state', 'static')).length, 4002, 'all of it on a pipe')
})

t.test('what is refused before anything is done', async (t) => {
  const netns = setup(t)
  const before = run(netns, 'bridge', 'fdb', 'show')
  const wrong: [args: string[], stderr: RegExp][] = [
    [['cam', 'add', 'br0', '02:00:5e', 'p0'], /^nfkit: MAC: expected a MAC address .*got "02:00:5e"\nusage: nfkit cam add BRIDGE MAC PORT /],
    [['cam', 'add', 'br0', MAC(50), 'p0', '--vlan', '4095'], /^nfkit: --vlan: expected .* from 1 to 4094, got 4095\n/],
    [['cam', 'add', 'br0', '01:00:5e:00:00:01', 'p0'], /^nfkit: MAC: expected a unicast address/],
    [['cam', 'add', 'br0', MAC(50), 'a name/with:all', '--static'], /^nfkit: PORT: expected an interface name/],
    [['cam', 'add', 'br0', MAC(50), 'p0', '--static', '--dynamic'], /exclude each other/],
    [['cam', 'flush', 'br0', '--state', 'permanent'], /^nfkit: --state: expected learned, static, or all, got "permanent"\n/],
  ]
  for (const [args, stderr] of wrong) t.match(await nfkit(netns, args), { status: 2, stdout: '', stderr }, args.join(' '))
  t.equal(run(netns, 'bridge', 'fdb', 'show'), before)
})
