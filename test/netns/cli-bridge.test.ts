// SPDX-License-Identifier: MIT
// nfkit bridge, run as a user does and compared with ip(8) and bridge(8).

import t, { type Test } from 'tap'
import { Netns } from '../../lib/index.js'
import { canColour, nfkit, nfkitJson } from '../support/cli.js'
import { bridgeJson, ipJson, lacks, run } from '../support/outside.js'

t.setTimeout(300_000)

function setup(t: Test) {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  run(netns, 'sh', '-ec', 'for i in 0 1 2; do ip link add eth$i type veth peer name h$i; ip link set h$i up; done')
  return netns
}

const done = (t: Test, result: Awaited<ReturnType<typeof nfkit>>, message: string) => t.match(result, { status: 0, stdout: '', stderr: '' }, message)
const data = (netns: Netns, name: string) => ipJson(netns, 'link', 'show', 'dev', name)[0]

t.test('add makes what ip shows, quietly', async (t) => {
  const netns = setup(t)
  done(t, await nfkit(netns, ['bridge', 'add', 'br_192', '--stp', '--stp-forward-delay', '4', '--stp-priority=0x1000', '--ageing-time', '12.5', '--no-multicast-snooping', '--mac', '02:00:5e:10:00:99', '--mtu', '1400']), 'add')
  t.match(data(netns, 'br_192'), {
    flags: /UP/, mtu: 1400, address: '02:00:5e:10:00:99',
    linkinfo: { info_kind: 'bridge', info_data: { stp_state: 1, forward_delay: 400, priority: 4096, ageing_time: 1250, mcast_snooping: 0 } },
  })
  done(t, await nfkit(netns, ['bridge', 'add', 'br1', '--no-up']), 'add without up')
  t.notOk(data(netns, 'br1').flags.includes('UP'))
  const again = await nfkit(netns, ['bridge', 'add', 'br1'])
  t.match(again, { status: 1, stdout: '', stderr: /^nfkit: .*EEXIST/ }, 'the name is taken')
  t.equal((await nfkitJson(netns, 'bridge', 'add', 'br2')).name, 'br2', 'with --json it prints what it made')
})

t.test('list', async (t) => {
  const netns = setup(t)
  t.match(await nfkit(netns, ['bridge']), { status: 0, stdout: /^NAME +STATE[^\n]*\n$/, stderr: '' }, 'only the header without bridges')
  t.same(await nfkitJson(netns, 'bridge'), [])
  run(netns, 'sh', '-ec', 'ip link add br10 type bridge stp_state 1; ip link add br9 type bridge; ip link set br9 up; for i in 2 0; do ip link set eth$i up master br9; done')
  t.same((await nfkitJson(netns, 'bridge')).map((each: any) => [each.name, each.index]), ipJson(netns, 'link', 'show', 'type', 'bridge').map((link) => [link.ifname, link.ifindex]))
  const { stdout } = await nfkit(netns, ['bridge'])
  const [header, ...rows] = stdout.trimEnd().split('\n')
  t.equal(rows.length, 2)
  for (const row of rows) t.match(row, /^br/)
  const br9 = rows.find((row) => row.startsWith('br9'))!
  t.equal(br9.slice(header!.indexOf('PORTS')), 'eth2 eth0', 'columns are aligned')
  t.match(br9, / running +8000\.[0-9a-f]{12} +off /)
  t.match(rows.find((row) => row.startsWith('br10')), / down .* root .* -$/)
  t.notMatch(stdout, /[\x00-\x09\x0b-\x1f]| \n/, 'plain text without blanks at the end')
  if (canColour) t.match((await nfkit(netns, ['bridge'], { FORCE_COLOR: '1' })).stdout, /\x1b\[/, 'FORCE_COLOR colours a pipe')
  t.notMatch((await nfkit(netns, ['bridge'], { NO_COLOR: '1' })).stdout, /\x1b/)
})

t.test('show says what ip says', async (t) => {
  const netns = setup(t)
  run(netns, 'sh', '-ec', `ip link add br0 type bridge stp_state 1 forward_delay 400 ageing_time 30000; ip link set br0 up
    for i in 0 1 2; do ip link set eth$i up master br0; done; bridge link set dev eth1 cost 77 hairpin on; bridge link set dev eth2 isolated on learning off`)
  const shown = await nfkitJson(netns, 'bridge', 'show', 'br0')
  const { linkinfo: { info_data: outside }, ifindex } = data(netns, 'br0')
  t.match(shown, {
    name: 'br0', index: ifindex, up: true, ageingTime: outside.ageing_time / 100,
    stp: {
      enabled: true, priority: outside.priority, rootPathCost: outside.root_path_cost, maxAge: outside.max_age / 100, helloTime: outside.hello_time / 100,
      forwardDelay: outside.forward_delay / 100,
    },
  })
  t.same(shown.ports.map((port: any) => [port.name, port.cost, port.hairpin, port.isolated, port.learning]),
    bridgeJson(netns, 'link', 'show').map((port) => [port.ifname, port.cost, port.hairpin, port.isolated, port.learning]))
  const { stdout, stderr, status } = await nfkit(netns, ['bridge', 'show', 'br0'])
  t.match({ status, stderr }, { status: 0, stderr: '' })
  for (const part of ['br0  up', 'spanning tree: on (kernel)', 'timers, seconds left', 'multicast: snooping on', 'ports\n', ', this bridge\n']) {
    t.ok(stdout.includes(part), part)
  }
  t.match(stdout, /^ {2}ageing time +300 s$/m)
  t.match(stdout, /^ +hello +(\d\.\d\d|-)$/m, 'the hello timer, which may have fired at this very moment')
  t.match(stdout, /^ +2  eth1 .* 77 .*hairpin$/m)
  t.match(stdout, /^ +3  eth2 .*no learning, isolated$/m)
  t.match((await nfkit(netns, ['bridge', 'port', 'show', 'br0', 'eth1'])).stdout, /^ {2}cost +77$/m)
  t.equal((await nfkitJson(netns, 'bridge', 'port', 'show', 'br0', 'eth1')).cost, 77)
  t.equal((await nfkitJson(netns, 'bridge', 'port', 'show', 'br0')).length, 3)
  t.same((await nfkitJson(netns, 'bridge', 'show')).map(({ name }: any) => name), ['br0'], 'show without a name is the list')
})

t.test('VLANs when the bridge filters', { skip: lacks('vlan-filtering') }, async (t) => {
  const netns = setup(t)
  done(t, await nfkit(netns, ['bridge', 'add', 'br0', '--vlan-filtering']), 'add')
  t.match(await nfkit(netns, ['bridge', 'port', 'add', 'br0', 'eth0']), { status: 0 })
  run(netns, 'bridge', 'vlan', 'add', 'dev', 'eth0', 'vid', '10-12')
  const { stdout } = await nfkit(netns, ['bridge', 'show', 'br0'])
  t.match(stdout, /^VLANs: filtering on$/m)
  t.match(stdout, /^ +eth0 +1 +yes +untagged/m)
  t.match(stdout, /^ +eth0 +10-12 +tagged/m)
})

t.test('set changes all or nothing', async (t) => {
  const netns = setup(t)
  run(netns, 'ip', 'link', 'add', 'br0', 'type', 'bridge')
  done(t, await nfkit(netns, ['bridge', 'set', 'br0', '--up', '--stp', '--stp-hello-time', '3', '--netfilter-call-iptables']), 'set')
  t.match(data(netns, 'br0'), { flags: /UP/, linkinfo: { info_data: { stp_state: 1, hello_time: 300, nf_call_iptables: 1 } } })
  done(t, await nfkit(netns, ['bridge', 'set', 'br0', '--no-stp']), 'off')
  t.equal(data(netns, 'br0').linkinfo.info_data.stp_state, 0)
  t.match(await nfkit(netns, ['bridge', 'set', 'br0', '--ageing-time', '7', '--stp-max-age', '41']), { status: 2, stderr: /^nfkit: --stp-max-age: expected .* got 41\nusage: nfkit bridge set / })
  t.equal(data(netns, 'br0').linkinfo.info_data.ageing_time, 30000)
  t.match(await nfkit(netns, ['bridge', 'set', 'br0']), { status: 2 })
  t.match(await nfkit(netns, ['bridge', 'set', 'br0', '--no-stp', '--stp']), { status: 2, stderr: /twice/ })
})

t.test('names with escape sequences do not reach the terminal', async (t) => {
  const netns = setup(t)
  run(netns, 'ip', 'link', 'add', 'br\x1b[31m', 'type', 'bridge')
  const { stdout } = await nfkit(netns, ['bridge'])
  t.ok(stdout.includes('br\\x1b[31m'))
  t.notMatch(stdout, /\x1b/)
  t.equal((await nfkitJson(netns, 'bridge'))[0].name, 'br\x1b[31m', 'JSON has the name as it is')
  t.notMatch((await nfkit(netns, ['bridge', 'add', 'br\x1b[31m'])).stderr, /\x1b/)
})
