// SPDX-License-Identifier: MIT
// What hooks make of packets that are not plain: the 100-byte packets of the paper, tags, segments, fragments, extension headers, frames
// without IP; and a mark at LOCAL_OUT, which chooses another route.

import t from 'tap'
import { Hook, Link, Route, Rule } from '../../lib/index.js'
import { encodeEthernet, encodeIpv6, encodeUdp, EtherType, IpProtocol } from '../../lib/lab/index.js'
import type { HookConfig, HookProgram } from '../../lib/wire/module/hook.js'
import { datagram, fragments } from '../support/datagram.js'
import { FAMILIES, hookAt, type HookLab, hookLab, programOf, PORT, statsOf, Stream, WAYS } from '../support/hooks.js'
import { noModule, until, withModule } from '../support/module.js'
import { tryRun } from '../support/outside.js'

withModule(t)

const N = 5
const OWNED = { persistent: false, create: false }
const SENDER = '02:00:00:00:0f:0f'
const macOf = (host: HookLab['box'], device = 'eth0') => Link.get(device, { netns: host.netns }).mac!

t.test('the paper: packets of 100 bytes to the box are dropped', { skip: noModule }, async (t) => {
  const { box, h1 } = await hookLab(t)
  const hook = Hook.create({ at: 'local-in', match: { length: 100 }, verdict: 'drop', netns: box.netns })
  for (const [address, header] of [['192.168.1.254', 20 + 8], ['fd01::fe', 40 + 8]] as const) {
    for (const [length, comes] of [[99, true], [100, false], [101, true]] as const) {
      const { received } = await h1.ping(address, { count: 2, size: length - header, timeout: comes ? 20_000 : 300, interval: 10 })
      t.equal(received, comes ? 2 : 0, `${address}, ${length} bytes`)
    }
  }
  t.match(hook.stats(), { dropped: 4, matched: 4, bytes: 400, accepted: 0 })
  hook.close()
  t.equal((await h1.ping('192.168.1.254', { count: 2, size: 72, timeout: 20_000, interval: 10 })).received, 2, 'without the hook')
})

t.test('VLAN tags: one that was taken off, one in the frame, and none', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { b1, b2, device } = net
  const payload = datagram({ to: macOf(b2), source: '192.168.3.1', destination: '192.168.3.2', port: PORT }).subarray(14)
  const frame = (...vlans: { protocol?: number; id: number }[]) => encodeEthernet({ destination: macOf(b2), source: SENDER, etherType: EtherType.ipv4, vlans, payload })
  const sent = [frame(), frame({ id: 5 }), frame({ id: 5 }, { id: 6 }), frame({ protocol: 0x88a8, id: 5 }, { id: 6 }, { id: 7 }), frame({ id: 1 }, { id: 2 }, { id: 3 }, { id: 4 })]
  const watch = b2.capture('eth0', { direction: 'in', filter: ({ packet }) => packet?.ethernet.source === SENDER })
  let came: string[] = []
  const reading = (async () => { for await (const item of watch) if (item.type === 'frame') came.push(Buffer.from(item.data).toString('hex')) })()
  const hex = (frames: Uint8Array[]) => frames.map((bytes) => Buffer.from(bytes).toString('hex'))
  for (const at of ['bridge-prerouting', 'bridge-forward', 'bridge-postrouting', 'ingress', 'egress'] as const) {
    const devices = { in: at === 'ingress' ? 'eth3' : null, out: at === 'egress' ? 'eth4' : null }
    const run = async (what: string, config: Partial<HookConfig>, passed: Uint8Array[], stats: object) => {
      came = []
      device.setHook('h', hookAt(at, 'ipv4', { ...devices, verdict: 'drop', ...config }), { persistent: false, create: true })
      for (const one of sent) b1.sendFrame('eth0', one)
      const end = datagram({ to: macOf(b2), from: SENDER, source: '192.168.3.1', destination: '192.168.3.2', port: 1, size: 10 })
      b1.sendFrame('eth0', end)
      await until(() => came.includes(hex([end])[0]!))
      t.same(came.filter((text) => text !== hex([end])[0]), hex(passed), `${at}: ${what}`)
      t.match(statsOf(device, 'h'), stats, `${at}: ${what}`)
      device.deleteHook('h')
    }
    // The last has three tags in it beside the one that is taken off: nobody looks so deep.
    await run('RAW begins at the IP header, behind up to two tags in the frame', {}, [sent[4]!], { dropped: 4 })
    await run('RAW knows the tag that was taken off', { program: programOf({ vlan: 5 }) }, [sent[0]!, sent[4]!], { dropped: 3 })
    await run('EN10MB', { program: programOf({ vlan: 5, destinationPort: PORT }, 'EN10MB') }, [sent[0]!, sent[4]!], { dropped: 3 })
    await run('EN10MB by the MAC address', { program: programOf({ sourceMac: SENDER, length: [100, 1500] }, 'EN10MB') }, [], { dropped: 5 })
  }
  await watch.return!()
  await reading
})

t.test('frames without IP, and packets without a MAC header', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { h1, box, device } = net
  const frames = [EtherType.arp, 0x88b5].map((etherType) => encodeEthernet({ destination: macOf(box), source: macOf(h1), etherType, payload: new Uint8Array(46) }))
  device.setHook('raw', hookAt('ingress', 'ipv4', { program: programOf({ not: { protocol: 'tcp' } }) }), OWNED)
  device.setHook('frames', hookAt('ingress', 'ipv4', { verdict: 'drop', program: programOf({ etherType: 0x88b5 }, 'EN10MB') }), OWNED)
  for (const frame of frames) h1.sendFrame('eth0', frame)
  await until(() => device.hook('frames').dropped === 1 && device.hook('raw').noHeader >= 1)
  t.equal(device.hook('frames').noHeader, 0)
  device.deleteHook('raw')
  device.deleteHook('frames')

  device.setHook('mac', hookAt('local-in', 'ipv4', { program: programOf({ sourceMac: macOf(h1), destinationPort: PORT, protocol: 'udp' }, 'EN10MB') }), OWNED)
  const stream = await Stream.open(net, WAYS['local-in'], 'ipv4')
  t.equal(await stream.pass(N, N), N)
  t.match(statsOf(device, 'mac'), { matched: N, accepted: N }, 'the MAC header of packets of IP')
  device.setHook('mac', hookAt('forward', 'ipv4', { program: programOf({ sourceMac: macOf(h1), destinationPort: PORT, protocol: 'udp' }, 'EN10MB') }), OWNED)
  const through = await Stream.open(net, WAYS.forward, 'ipv4')
  t.equal(await through.pass(N, N), N)
  t.match(statsOf(device, 'mac'), { matched: 2 * N }, 'at forward, too')
  for (const one of [stream, through]) one.close()
})

t.test('what has no Ethernet header does not match EN10MB: a tunnel; and its points of no header refuse it', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { h1, box, device } = net
  for (const [host, local, remote, address] of [[box, 254, 1, '10.9.0.254/24'], [h1, 1, 254, '10.9.0.1/24']] as const) {
    const tunnel = tryRun(host.netns, 'ip', 'link', 'add', 'tun9', 'type', 'gre', 'local', `192.168.1.${local}`, 'remote', `192.168.1.${remote}`)
    if (tunnel.status !== 0) return t.comment(`no GRE here: ${tunnel.stderr}`)
    Link.set('tun9', { up: true }, { netns: host.netns })
    host.addAddress('tun9', address)
  }
  // BPF_RET | BPF_K: every frame.
  const every: HookProgram = { link: 'EN10MB', instructions: [{ code: 6, jt: 0, jf: 0, k: 0xffffffff }], undecided: false }
  const at = { prerouting: { in: 'tun9' }, 'local-in': { in: 'tun9' }, ingress: { in: 'tun9' }, egress: { out: 'tun9' } } as const
  const points = Object.keys(at) as (keyof typeof at)[]
  for (const point of points) {
    for (const [name, program] of [['mac', every], ['ip', programOf({ protocol: 'icmp' })]] as const) {
      device.setHook(`${point}.${name}`, hookAt(point, 'ipv4', { in: null, out: null, ...at[point], verdict: name === 'mac' ? 'drop' : 'accept', program }), OWNED)
    }
  }
  t.equal((await h1.ping('10.9.0.254', { count: N, timeout: 20_000, interval: 10 })).received, N, 'a verdict of what does not match is not given')
  for (const point of points) {
    t.same(statsOf(device, `${point}.mac`), { seen: device.hook(`${point}.mac`).seen, noHeader: device.hook(`${point}.mac`).seen }, point)
    t.ok(device.hook(`${point}.mac`).noHeader >= N, point)
    t.ok(device.hook(`${point}.ip`).matched >= N, `${point}: with the IP header it matches`)
  }
  for (const point of ['local-out', 'postrouting'] as const) t.throws(() => device.setHook('no', hookAt(point, 'ipv4', { program: every }), OWNED), { code: 'EINVAL' })
  t.same(device.hookNames().sort(), points.flatMap((point) => [`${point}.ip`, `${point}.mac`]).sort())
})

t.test('segments, fragments, extension headers', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { lab, h1, h2, box, device } = net
  device.setHook('big', hookAt('forward', 'ipv4', { family: null, program: programOf({ protocol: 'tcp', length: [1501, 65535] }) }), OWNED)
  for (const point of ['forward', 'egress', 'ingress'] as const) {
    device.setHook(point, hookAt(point, 'ipv4', { ...(point === 'forward' ? { family: null } : {}), mark: { value: 1, mask: 1 }, program: programOf({ protocol: 'tcp' }) }), OWNED)
  }
  for (const family of FAMILIES) {
    t.match(await lab.flow({ from: h1, to: h2, family, bytes: 300_000, timeout: 60_000 }), { outcome: 'completed', bytesReceived: 300_000 }, `TCP through hooks, ${family}`)
  }
  t.ok(device.hook('big').matched > 0, 'there were packets above the MTU')
  for (const point of ['forward', 'egress', 'ingress']) t.ok(device.hook(point).matched > 0, point)
  t.ok(device.hook('forward').bytes > 600_000)
  for (const name of device.hookNames()) device.deleteHook(name)

  const parts = fragments({ to: macOf(box), source: '192.168.1.1', destination: '192.168.1.254', port: PORT, size: 1000 }, 500)
  device.setHook('all', hookAt('prerouting', 'ipv4', { program: programOf({ protocol: 'udp' }) }), OWNED)
  device.setHook('port', hookAt('prerouting', 'ipv4'), OWNED)
  device.setHook('whole', hookAt('local-in', 'ipv4'), OWNED)
  for (const part of parts) h1.sendFrame('eth0', part)
  await until(() => device.hook('whole').matched === 1, 'it is put together before LOCAL_IN')
  t.equal(device.hook('all').matched, parts.length)
  t.equal(device.hook('port').matched, 1, 'only the first has ports')
  t.equal(device.hook('whole').bytes, 1028)
  for (const name of device.hookNames()) device.deleteHook(name)

  /** With so many headers of destination options. */
  const long = (headers: number) => {
    const udp = encodeUdp({ sourcePort: 9001, destinationPort: PORT, payload: new Uint8Array(20) }, { source: 'fd01::1', destination: 'fd01::fe' })
    const options = Array.from({ length: headers }, (_, i) => [i + 1 === headers ? IpProtocol.udp : 60, 0, 1, 4, 0, 0, 0, 0]).flat()
    const payload = Uint8Array.from([...options, ...udp])
    return encodeEthernet({
      destination: macOf(box), source: macOf(h1), etherType: EtherType.ipv6, payload: encodeIpv6({ source: 'fd01::1', destination: 'fd01::fe', nextHeader: headers > 0 ? 60 : IpProtocol.udp, payload }),
    })
  }
  device.setHook('ip', hookAt('prerouting', 'ipv6'), OWNED)
  device.setHook('frame', hookAt('ingress', 'ipv6'), OWNED)
  for (const headers of [0, 1, 3, 8, 9, 12]) h1.sendFrame('eth0', long(headers))
  await until(() => device.hook('ip').undecided === 2 && device.hook('frame').undecided === 2)
  t.match(device.hook('ip'), { matched: 4, undecided: 2 })
  t.match(device.hook('frame'), { matched: 4, undecided: 2 })
})

t.test('a mark at LOCAL_OUT chooses another route', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { box, h1, device } = net
  for (const family of FAMILIES) {
    const [destination, gateway] = family === 'ipv4' ? ['192.168.2.2/32', '192.168.1.1'] : ['fd02::2/128', 'fd01::1']
    Rule.add({ family, priority: 10, fwmark: 5, table: 100 }, { netns: box.netns })
    Route.add({ destination, gateway, link: 'eth0', table: 100 }, { netns: box.netns })
    Rule.add({ family, priority: 11, fwmark: 6, table: 101 }, { netns: box.netns })
    Route.add({ destination, type: 'unreachable', table: 101 }, { netns: box.netns })
    const stream = await Stream.open(net, WAYS['local-out'], family)
    const watch = h1.capture('eth0', { direction: 'in', filter: ({ packet }) => packet?.udp?.destinationPort === PORT })
    let detours = 0
    const reading = (async () => { for await (const item of watch) if (item.type === 'frame') detours++ })()
    const mark = (value: number) => ({ value, mask: 0xff })
    // h1 sends them back, since the box is its way to h2.
    device.setHook('h', hookAt('local-out', family, { mark: mark(5) }), { persistent: false, create: true })
    t.equal(await stream.pass(N, 0), 0, `${family}: h1 does not forward`)
    await until(() => detours === N, `${detours} of ${N} at h1`)
    device.setHook('h', hookAt('local-out', family, { mark: mark(5), verdict: { repeat: 2 }, program: programOf({ protocol: 'udp', destinationPort: PORT, mark: 0 }) }), OWNED)
    t.equal(await stream.pass(N, 0), 0, `${family}: repeat`)
    await until(() => detours === 2 * N, `${detours} of ${2 * N} at h1`)
    device.setHook('h', hookAt('local-out', family, { mark: mark(0x105) }), OWNED)
    t.equal(await stream.pass(N, N), N, `${family}: a mark without a route of its own`)
    device.setHook('h', hookAt('local-out', family, { mark: mark(6) }), OWNED)
    const before = stream.received
    await t.rejects(stream.send(1), { code: family === 'ipv4' ? /EHOSTUNREACH|ENETUNREACH/ : /ENETUNREACH|EHOSTUNREACH/ }, `${family}: no route`)
    t.equal(stream.received, before)
    t.match(statsOf(device, 'h'), { matched: 3 * N + 1, accepted: 3 * N, repeated: N, unroutable: 1, dropped: 1 }, family)
    device.deleteHook('h')
    await watch.return!()
    await reading
    stream.close()
  }
})
