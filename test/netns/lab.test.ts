// SPDX-License-Identifier: MIT

import { spawn } from 'node:child_process'
import { readlinkSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Link, Netns } from '../../lib/index.js'
import { Lab } from '../../lib/lab/index.js'
import { filter, twoHosts } from '../support/lab.js'
import { ipJson, run } from '../support/outside.js'

t.test('hosts and wires are what ip(8) shows', async (t) => {
  const lab = await Lab.create()
  t.teardown(() => lab.close())
  const box = lab.box('box')
  const h1 = lab.host('h1')
  const wire = lab.wire({ host: h1, addresses: ['192.168.0.2/24', 'fd00::2/64'] }, { host: 'box', name: 'port3', mac: '02:00:5e:10:00:01' }, { mtu: 9000 })
  lab.wire('h1', 'box:p4')
  const [lo, eth0, eth1] = ipJson(h1.netns, 'addr')
  t.match(lo, { ifname: 'lo', flags: ['LOOPBACK', 'UP'] })
  t.match(eth0, { ifname: 'eth0', mtu: 9000, address: '02:00:00:00:02:01', operstate: 'UP', linkinfo: { info_kind: 'veth' } })
  const addresses = eth0.addr_info.map((info: any) => `${info.local}/${info.prefixlen}`)
  t.same(addresses.slice(0, 2), ['192.168.0.2/24', 'fd00::2/64'])
  t.notOk(eth0.addr_info.some((info: any) => info.tentative === true), 'addresses can be used at once')
  t.match(eth1, { ifname: 'eth1', mtu: 1500, address: '02:00:00:00:02:02', operstate: 'UP' })
  t.match(ipJson(box.netns, 'link').slice(1), [
    { ifname: 'port3', mtu: 9000, address: '02:00:5e:10:00:01', operstate: 'UP' }, { ifname: 'p4', address: '02:00:00:00:01:02' },
  ])
  t.match(wire.at(box), { name: 'port3', index: ipJson(box.netns, 'link', 'show', 'port3')[0].ifindex, mac: '02:00:5e:10:00:01' })
  t.same(JSON.parse(JSON.stringify(lab.topology().wires)), [[['h1', 'eth0'], ['box', 'port3']], [['h1', 'eth1'], ['box', 'p4']]])
  t.match(lab.topology().hosts, [
    { name: 'box', role: 'box', interfaces: [{ name: 'port3', kind: 'veth', up: true }, { name: 'p4' }] },
    { name: 'h1', role: 'host', interfaces: [{ name: 'eth0', mac: '02:00:00:00:02:01', addresses: ['192.168.0.2/24', 'fd00::2/64', /^fe80::/] }, {}] },
  ])
  t.equal(h1.address(), '192.168.0.2')
  t.equal(h1.address('ipv6'), 'fd00::2')
  t.throws(() => box.address(), { code: 'EADDRNOTAVAIL' })
})

t.test('a wire carries at once whatever is sent', async (t) => {
  const { lab, h1, h2 } = await twoHosts(t)
  for (let i = 1; i <= 5; i++) {
    lab.wire({ host: h1, addresses: [`fd0${i}::1/64`] }, { host: h2, addresses: [`fd0${i}::2/64`] })
    if (i === 1) t.match(ipJson(h2.netns, 'link', 'show', 'eth1'), [{ operstate: 'UP' }])
    // Before the kernel has joined their groups, nobody answers the first solicitation, and the second comes after a second.
    const mac = h2.interfaces().find(({ name }) => name === `eth${i}`)!.mac!
    const linkLocal = `fe80::ff:fe00:2${mac.slice(-2)}%eth${i}`
    for (const address of [linkLocal, `fd0${i}::2`]) t.equal((await h1.ping(address, { timeout: 900 })).received, 1, address)
  }
})

t.test('wires are cut, mended and taken away', async (t) => {
  const { lab, h1, h2 } = await twoHosts(t)
  const [wire] = lab.wires()
  wire!.cut()
  t.match([h1, h2].map(({ netns }) => ipJson(netns, 'link', 'show', 'eth0')[0].operstate), ['DOWN', 'DOWN'])
  t.equal((await h1.ping(h2, { timeout: 100 })).received, 0)
  wire!.mend()
  t.match([h1, h2].map(({ netns }) => ipJson(netns, 'link', 'show', 'eth0')[0].operstate), ['UP', 'UP'])
  t.equal((await h1.ping('192.168.0.2')).received, 1)
  wire!.delete()
  t.same([h1, h2].map(({ netns }) => ipJson(netns, 'link').length), [1, 1])
  t.same(lab.wires(), [])
})

t.test('a host without IPv6 has none, a router forwards', async (t) => {
  const lab = await Lab.create()
  t.teardown(() => lab.close())
  const quiet = lab.host('quiet', { ipv6: false })
  const router = lab.box('router', { forwarding: true })
  lab.wire({ host: quiet, addresses: ['10.0.1.1/24'] }, { host: router, addresses: ['10.0.1.254/24', 'fd01::254/64'] })
  const far = lab.host('far')
  lab.wire({ host: far, addresses: ['10.0.2.1/24'] }, { host: router, addresses: ['10.0.2.254/24'] })
  quiet.addRoute({ destination: 'default', gateway: '10.0.1.254' })
  far.addRoute({ destination: '10.0.1.0/24', gateway: '10.0.2.254' })
  t.same(ipJson(quiet.netns, '-6', 'addr'), [])
  t.match(ipJson(quiet.netns, 'route'), [{ dst: 'default', gateway: '10.0.1.254', dev: 'eth0' }, {}])
  t.equal(run(router.netns, 'cat', '/proc/sys/net/ipv6/conf/all/forwarding'), '1\n')
  t.match(await quiet.ping(far, { timeout: 3000 }), { received: 1, replies: [{ ttl: 63 }] })
})

t.test('a wire that cannot be made as asked leaves nothing', async (t) => {
  const { lab, h1, h2 } = await twoHosts(t)
  const before = [h1, h2].map(({ netns }) => ipJson(netns, 'link').map((link) => link.ifname))
  t.throws(() => lab.wire('h1:eth0', 'h2:eth7'), { code: 'EEXIST' })
  t.throws(() => lab.wire('h1:eth7', 'h2:eth0'), { code: 'EEXIST' })
  t.throws(() => lab.wire({ host: h1, name: 'eth7', addresses: ['10.0.0.1/24', '10.0.0.1/24'] }, 'h2'), { code: 'EEXIST' })
  t.throws(() => lab.wire('h1', 'nobody'), { code: 'ENOENT', message: /nobody/ })
  t.same([h1, h2].map(({ netns }) => ipJson(netns, 'link').map((link) => link.ifname)), before)
  t.equal(lab.wires().length, 1)
})

t.test('wrong arguments are refused by name', async (t) => {
  const { lab, h1, h2 } = await twoHosts(t)
  const wrong: [() => unknown, object][] = [
    [() => lab.host('a b'), { name: 'TypeError', message: /name/ }],
    [() => lab.host('h1'), { code: 'EEXIST' }],
    [() => lab.host('h9', { ipv4: false } as never), { name: 'TypeError', message: /ipv4/ }],
    [() => lab.wire('h1:eth0:x', 'h2'), { name: 'TypeError', message: /^a:/ }],
    [() => lab.wire({ host: h1, name: 'much-too-long-a-name' }, 'h2'), { name: 'TypeError', message: /a\.name/ }],
    [() => lab.wire({ host: h1, mac: 'nonsense' }, 'h2'), { name: 'TypeError', message: /a\.mac/ }],
    [() => lab.wire('h1', { host: h2, addresses: ['10.0.0.1/33'] }), { name: 'TypeError', message: /b\.addresses\[0\]/ }],
    [() => lab.wire('h1', 'h2', { mtu: 60 }), { name: 'RangeError', message: /mtu/ }],
    [() => h1.addAddress('eth0', '300.0.0.1/24'), { name: 'TypeError', message: /address/ }],
    [() => h1.capture('eth9'), { code: 'ENODEV' }],
    [() => h1.capture('eth0', { direction: 'up' as never }), { name: 'TypeError', message: /direction/ }],
    [() => h1.capture('eth0', { etherType: 70000 }), { name: 'RangeError', message: /etherType/ }],
    [() => h1.listen({ port: 65536 }), { name: 'RangeError', message: /port/ }],
    [() => h1.listen({ protocol: 'sctp' as never }), { name: 'TypeError', message: /protocol/ }],
    [() => h1.listen({ address: 'fe80::1%eth9' }), { code: 'ENODEV' }],
    [() => h1.sendFrame('eth0', new Uint8Array(13)), { name: 'RangeError', message: /frame/ }],
  ]
  for (const [call, error] of wrong) t.throws(call, error as never, String(call))
  const rejected: [() => Promise<unknown>, object][] = [
    [() => h1.ping('nonsense'), { name: 'TypeError', message: /address/ }],
    [() => h1.ping('192.168.0.2', { count: 0 }), { name: 'RangeError', message: /count/ }],
    [() => h1.ping('192.168.0.2', { size: 65508 }), { name: 'RangeError', message: /size/ }],
    [() => h1.ping('192.168.0.2', { ttl: 256 }), { name: 'RangeError', message: /ttl/ }],
    [() => h1.ping('192.168.0.2', { wait: 5 } as never), { name: 'TypeError', message: /wait/ }],
    [() => h1.ping('192.168.0.2', { source: 'fd00::1' }), { name: 'TypeError', message: /source/ }],
    [() => h1.ping('192.168.0.2', { source: '10.9.9.9' }), { code: 'EADDRNOTAVAIL' }],
    [() => h1.ping('192.168.0.2', { interface: 'eth9' }), { code: 'ENODEV' }],
    [() => h1.ping('fe80::1%eth9'), { code: 'ENODEV' }],
    [() => h1.connect({ address: h2, port: 0 }), { name: 'RangeError', message: /port/ }],
    [() => lab.flow({ from: h1, to: 'h2' as never }), { name: 'TypeError', message: /to/ }],
    [() => lab.flow({ from: h1, to: h2, bytes: -1 }), { name: 'RangeError', message: /bytes/ }],
    [() => h1.run('true', ['x'], { timeout: 0 }), { name: 'RangeError', message: /timeout/ }],
  ]
  for (const [call, error] of rejected) await t.rejects(call(), error as never, String(call))
  t.throws(() => h1.statistics('eth9'), { code: 'ENODEV' })
})

t.test('programs run in the namespace of the host', async (t) => {
  const { h1 } = await twoHosts(t)
  const { stdout, status } = await h1.run('ip', ['-j', 'link'])
  t.equal(status, 0)
  t.same(JSON.parse(stdout).map((link: any) => link.ifname), ['lo', 'eth0'])
  t.equal((await h1.run('cat', [], { input: 'text' })).stdout, 'text')
  await t.rejects(h1.run('sh', ['-c', 'echo no >&2; exit 3']), { code: 'NFKIT_COMMAND_FAILED', message: /exit status 3: no/ })
  t.match(await h1.run('sh', ['-c', 'exit 3'], { check: false }), { status: 3 })
  await t.rejects(h1.run('sleep', ['9'], { timeout: 50 }), { code: 'ETIMEDOUT' })
  await t.rejects(h1.run('sleep', ['9'], { signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' })
  await t.rejects(h1.run('no-such-program'), { code: 'NFKIT_COMMAND_FAILED' })
  t.match((await h1.run('ls', ['/sys/class/net'], { sysfs: true })).stdout, /^eth0\nlo\n/)
})

t.test('closing ends everything that goes on', async (t) => {
  const lab = await Lab.create()
  const h1 = lab.host('h1')
  const child = h1.spawn('sleep', ['60'], { stdio: 'ignore' })
  const exited = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)))
  const listener = h1.listen({ port: 80 })
  const accepting = listener.accept()
  const connection = await h1.connect({ address: '127.0.0.1', port: 80 })
  const [other] = await Promise.all([accepting])
  const capture = h1.capture('lo')
  const waits = [
    listener.accept(), connection.read(), other.read(), h1.listen({ protocol: 'udp', port: 7 }).receive(), h1.ping('10.1.1.1', { timeout: 60000 }),
    h1.ping('127.0.0.9', { interval: 60000, count: 2, timeout: 60000 }), h1.run('sleep', ['60']),
  ].map((wait) => wait.then(() => 'done', (error) => error.code))
  await sleep(50)
  lab.close()
  lab.close()
  // No route is an answer that comes at once.
  t.same(await Promise.all(waits), ['NFKIT_CLOSED', 'NFKIT_CLOSED', 'NFKIT_CLOSED', 'NFKIT_CLOSED', 'done', 'NFKIT_CLOSED', 'NFKIT_CLOSED'])
  t.equal(await exited, 'SIGKILL')
  for (let item = await capture.next(); item.done !== true; item = await capture.next());
  t.throws(() => lab.host('h2'), { code: 'NFKIT_CLOSED' })
  t.throws(() => h1.interfaces(), { code: 'NFKIT_CLOSED' })
  await t.rejects(h1.ping('127.0.0.1'), { code: 'NFKIT_CLOSED' })
})

t.test('no descriptor of a lab stays open', async (t) => {
  const open = () => readdirSync('/proc/self/fd').flatMap((fd) => { try { return [readlinkSync(`/proc/self/fd/${fd}`)] } catch { return [] } })
    .filter((target) => /^(net|socket):/.test(target)).length
  const use = async () => {
    const lab = await Lab.create()
    const h1 = lab.host('h1')
    const h2 = lab.host('h2')
    lab.wire({ host: h1, addresses: ['10.0.0.1/24'] }, { host: h2, addresses: ['10.0.0.2/24'] })
    t.equal((await h1.ping(h2)).received, 1)
    t.equal((await lab.flow({ from: h1, to: h2 })).outcome, 'completed')
    t.equal((await lab.flow({ from: h1, to: h2, protocol: 'udp' })).outcome, 'completed')
    h1.capture('eth0')
    lab.close()
  }
  await use()
  const before = open()
  await use()
  t.equal(open(), before)
})

/** A program that makes a lab, wires it to a namespace of this test, starts a program in a host and says so. */
const PROGRAM = `
  import { Lab } from '${new URL('../../lib/lab/index.js', import.meta.url).href}'
  import { Link } from '${new URL('../../lib/index.js', import.meta.url).href}'
  const lab = await Lab.create()
  const h1 = lab.host('h1')
  Link.add({ kind: 'veth', name: 'eth0', peer: { name: 'outside', netns: process.argv[1] } }, { netns: h1.netns })
  h1.listen({ port: 80, serve: 'echo' })
  h1.capture('eth0').next()
  const child = h1.spawn('sleep', ['300'], { stdio: 'ignore' })
  console.log('ready ' + child.pid)
`

t.test('nothing is left behind when the program is killed', async (t) => {
  const outer = Netns.create()
  t.teardown(() => outer.close())
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, outer.path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const pid = await new Promise<number>((resolve) => child.stdout.once('data', (text) => resolve(Number(String(text).split(' ')[1]))))
  const alive = () => { try { return !/^State:\s+Z/m.test(run(outer, 'cat', `/proc/${pid}/status`)) } catch { return false } }
  const wired = () => ipJson(outer, 'link').some((link) => link.ifname === 'outside')
  t.ok(alive() && wired())
  child.kill('SIGKILL')
  for (let i = 0; i < 200 && (alive() || wired()); i++) await sleep(25)
  t.notOk(alive(), 'its program is gone')
  t.notOk(wired(), 'its namespace is gone, and the wire with it')
})

t.test('a bridge within a box, and its rules', async (t) => {
  const lab = await Lab.create()
  t.teardown(() => lab.close())
  const box = lab.box('box', { ipv6: false })
  const bridge = box.bridge('br0')
  for (const n of [1, 2]) {
    lab.wire({ host: lab.host(`h${n}`, { ipv6: false }), addresses: [`192.168.0.${n}/24`] }, { host: box, name: `eth${n}` })
    bridge.addPort(`eth${n}`)
  }
  const h1 = lab.find('h1')
  t.equal((await h1.ping('192.168.0.2', { timeout: 3000 })).received, 1)
  t.same(bridge.cam.entries({ state: 'learned' }).map(({ mac, port }) => [mac, port]).sort(), [['02:00:00:00:02:01', 'eth1'], ['02:00:00:00:03:01', 'eth2']])
  t.match(lab.topology().hosts[0]!.interfaces, [{ name: 'br0', kind: 'bridge' }, { name: 'eth1', master: 'br0' }, { name: 'eth2', master: 'br0' }])
  Link.set('eth2', { up: false }, { netns: box.netns })
  t.equal((await h1.ping('192.168.0.2', { timeout: 100 })).received, 0)
  filter(box, 'ipv4', '-P FORWARD ACCEPT')
})
