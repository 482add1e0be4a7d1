// SPDX-License-Identifier: MIT
// nfkit bridge port, address and watch, run as a user does and compared with ip(8).

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { Netns } from '../../lib/index.js'
import { nfkit, nfkitJson, Running } from '../support/cli.js'
import { ipJson, run } from '../support/outside.js'

t.setTimeout(300_000)

function setup(t: Test) {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  run(netns, 'sh', '-ec', 'for i in 0 1 2; do ip link add eth$i type veth peer name h$i; ip link set h$i up; done')
  return netns
}

const done = (t: Test, result: Awaited<ReturnType<typeof nfkit>>, message: string) => t.match(result, { status: 0, stdout: '', stderr: '' }, message)
const data = (netns: Netns, name: string) => ipJson(netns, 'link', 'show', 'dev', name)[0]
const addresses = (netns: Netns, name: string) => ipJson(netns, '-4', 'addr', 'show', 'dev', name).flatMap((link) => (link.addr_info ?? []).map((a: any) => `${a.local}/${a.prefixlen}`))

t.test('ports', async (t) => {
  const netns = setup(t)
  run(netns, 'ip', 'link', 'add', 'br0', 'type', 'bridge')
  t.match(await nfkit(netns, ['bridge', 'port', 'add', 'br0', 'eth0', '--cost', '9', '--no-learning']), { status: 0 })
  t.match(data(netns, 'eth0'), { master: 'br0', linkinfo: { info_slave_data: { cost: 9, learning: false } } })
  for (const flag of ['UP', 'PROMISC']) t.ok(data(netns, 'eth0').flags.includes(flag), flag)
  t.match(await nfkit(netns, ['bridge', 'port', 'add', 'br0', 'eth1', '--no-up', '--no-promiscuous']), { status: 0 })
  for (const flag of ['UP', 'PROMISC']) t.notOk(data(netns, 'eth1').flags.includes(flag), flag)
  t.match(await nfkit(netns, ['bridge', 'port', 'add', 'br0', 'eth0']), { status: 1, stderr: /^nfkit: .*EBUSY/ })
  t.match(await nfkit(netns, ['bridge', 'port', 'add', 'br0', 'nope']), { status: 1, stderr: /ENODEV/ })
  t.match(await nfkitJson(netns, 'bridge', 'port', 'add', 'br0', 'eth2'), { port: 'eth2', wasUp: false })
  done(t, await nfkit(netns, ['bridge', 'port', 'set', 'br0', 'eth0', '--hairpin', '--backup-port', 'eth2']), 'port set')
  t.match(data(netns, 'eth0').linkinfo.info_slave_data, { hairpin: true, backup_port: 'eth2' })
  done(t, await nfkit(netns, ['bridge', 'port', 'set', 'br0', 'eth0', '--backup-port', 'none']), 'backup port off')
  t.notOk('backup_port' in data(netns, 'eth0').linkinfo.info_slave_data)
  t.match(await nfkit(netns, ['bridge', 'port', 'set', 'br0', 'h0', '--cost', '1']), { status: 1, stderr: /NFKIT_NOT_A_PORT/ })
  done(t, await nfkit(netns, ['bridge', 'port', 'remove', 'br0', 'eth0']), 'port remove')
  t.notOk('master' in data(netns, 'eth0'))
  done(t, await nfkit(netns, ['bridge', 'delete', 'br0']), 'delete')
  t.same(ipJson(netns, 'link', 'show', 'type', 'bridge'), [])
  t.match(await nfkit(netns, ['bridge', 'delete', 'br0']), { status: 1, stderr: /ENODEV/ })
  t.match(await nfkit(netns, ['bridge', 'delete', 'eth0']), { status: 1, stderr: /NFKIT_NOT_A_BRIDGE/ })
  t.equal(data(netns, 'eth0').ifname, 'eth0', 'what is no bridge is not deleted')
})


t.test('a port with addresses: refused, moved, brought back, dropped', async (t) => {
  const netns = setup(t)
  run(netns, 'sh', '-ec', `ip link add br0 type bridge; ip link set br0 up; ip link set eth0 up; ip addr add 192.168.0.5/24 dev eth0; ip route add 10.0.0.0/8 via 192.168.0.1`)
  t.match(await nfkit(netns, ['bridge', 'port', 'add', 'br0', 'eth0']), { status: 1, stdout: '', stderr: /^nfkit: .*192\.168\.0\.5\/24.*--addresses move.*\(NFKIT_PORT_HAS_ADDRESSES\)\n$/ })
  t.notOk('master' in data(netns, 'eth0'), 'nothing was changed')
  const moved = await nfkit(netns, ['bridge', 'port', 'add', 'br0', 'eth0', '--addresses', 'move', '--json'])
  t.equal(moved.status, 0, moved.stderr)
  t.same(addresses(netns, 'br0'), ['192.168.0.5/24'])
  t.same(addresses(netns, 'eth0'), [])
  t.equal(run(netns, 'ip', '-o', 'route', 'show', '10.0.0.0/8').trim(), '10.0.0.0/8 via 192.168.0.1 dev br0')
  t.match((await nfkit(netns, ['bridge', 'show', 'br0'])).stdout, /^ +addresses +192\.168\.0\.5\/24/m)
  const file = join(mkdtempSync(join(tmpdir(), 'nfkit-')), 'eth0.json')
  t.teardown(() => rmSync(dirname(file), { recursive: true }))
  writeFileSync(file, moved.stdout)
  done(t, await nfkit(netns, ['bridge', 'port', 'remove', 'br0', 'eth0', '--restore', file]), 'brought back')
  t.same(addresses(netns, 'eth0'), ['192.168.0.5/24'])
  t.notOk(data(netns, 'eth0').flags.includes('PROMISC'))
  t.match(await nfkit(netns, ['bridge', 'port', 'add', 'br0', 'eth0', '--addresses', 'drop']), { status: 0, stdout: 'eth0: is a port of br0, made promiscuous, 192.168.0.5/24 and 1 route dropped\n' })
  t.match(await nfkit(netns, ['bridge', 'port', 'add', 'br0', 'eth1', '--addresses', 'lose']), { status: 2, stderr: /^nfkit: --addresses: expected / })
  t.match(await nfkit(netns, ['bridge', 'port', 'remove', 'br0', 'eth0', '--restore', '/proc/self/comm']), { status: 2, stderr: /--restore/ })
  t.match(await nfkit(netns, ['bridge', 'port', 'remove', 'br0', 'eth0', '--restore', '/nonexistent']), { status: 1, stderr: /ENOENT/ })
  t.equal(data(netns, 'eth0').master, 'br0')
})

t.test('addresses of the bridge', async (t) => {
  const netns = setup(t)
  run(netns, 'ip', 'link', 'add', 'br0', 'type', 'bridge')
  done(t, await nfkit(netns, ['bridge', 'address', 'add', 'br0', '192.168.0.1/24']), 'add')
  t.same(addresses(netns, 'br0'), ['192.168.0.1/24'])
  t.match(await nfkit(netns, ['bridge', 'address', 'add', 'br0', '192.168.0.1/33']), { status: 2, stderr: /^nfkit: ADDRESS: expected / })
  done(t, await nfkit(netns, ['bridge', 'address', 'delete', 'br0', '192.168.0.1/24']), 'delete')
  t.same(addresses(netns, 'br0'), [])
  t.match(await nfkit(netns, ['bridge', 'address', 'delete', 'br0', '192.168.0.1/24']), { status: 1, stderr: /EADDRNOTAVAIL/ })
})

t.test('watch', async (t) => {
  const netns = setup(t)
  run(netns, 'sh', '-ec', 'ip link add br0 type bridge; ip link set br0 up; ip link set eth2 up master br0')
  const lines = new Running(netns, ['bridge', 'watch', 'br0', '--initial'])
  const json = new Running(netns, ['bridge', 'watch', 'br0', '--json', '--resync', '--initial'])
  t.teardown(() => Promise.all([lines.stop(), json.stop()]))
  for (const watch of [lines, json]) await watch.until('ready', (text) => text.includes('ready'))
  t.match(lines.stdout, /Z  present       eth2  /)
  run(netns, 'sh', '-ec', 'ip link set eth1 up master br0; bridge link set dev eth1 cost 77')
  await lines.until('cost', (text) => /port-changed  eth1  .*cost \d+ -> 77/.test(text))
  await json.until('cost', (text) => text.includes('"cost":77'))
  t.match(json.objects.find(({ type, port }) => type === 'port-added' && port.name === 'eth1'), { time: String, port: { name: 'eth1' } })
  run(netns, 'ip', 'link', 'del', 'br0')
  t.same(await lines.ended, { status: 0, signal: null })
  t.same(await json.ended, { status: 0, signal: null })
  t.match(lines.stdout, /^\S+Z  port-removed  eth1/m)
})
