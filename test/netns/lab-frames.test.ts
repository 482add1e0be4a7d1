// SPDX-License-Identifier: MIT

import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import {
  type CapturedFrame, type CaptureEvent, collect, decodePacket, encodeArp, encodeIcmp, encodeIpv4, encodeTcp, encodeUdp, type EthernetFrame,
  EtherType, type Host,
} from '../../lib/lab/index.js'
import { twoHosts } from '../support/lab.js'
import { ipJson, noTcpdump, run } from '../support/outside.js'

const isFrame = (event: CaptureEvent): event is CapturedFrame => event.type === 'frame'
const MAC1 = '02:00:00:00:01:01'
const MAC2 = '02:00:00:00:02:01'

const ARP: EthernetFrame = {
  destination: 'ff:ff:ff:ff:ff:ff', source: MAC1, etherType: EtherType.arp,
  payload: encodeArp({ operation: 1, senderMac: MAC1, senderIp: '192.168.0.1', targetMac: '00:00:00:00:00:00', targetIp: '192.168.0.2' }),
}

/** What tcpdump on a host's eth0 prints of `count` packets, with their bytes. */
async function tcpdump(
  host: Host, count: number, filter: string, act: () => void | Promise<unknown>,
): Promise<{ text: string; packets: Uint8Array[] }> {
  const args = ['--immediate-mode', '-l', '-nn', '-e', '-xx', '-i', 'eth0', '-c', String(count), filter]
  const dump = host.spawn('tcpdump', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const all = new Promise<string>((resolve) => {
    let text = ''
    dump.stdout!.setEncoding('utf8').on('data', (part: string) => { text += part }).once('end', () => resolve(text))
  })
  await new Promise((resolve) => dump.stderr!.once('data', resolve))
  await act()
  const text = await all
  const packets: string[] = []
  for (const line of text.split('\n')) {
    const hex = /^\s+0x[0-9a-f]+:\s+([0-9a-f ]+)$/.exec(line)
    if (hex === null) packets.push('')
    else packets[packets.length - 1] += hex[1]!.replaceAll(' ', '')
  }
  return { text, packets: packets.filter((packet) => packet !== '').map((packet) => new Uint8Array(Buffer.from(packet, 'hex'))) }
}

t.test('a frame arrives as it was sent', { skip: noTcpdump }, async (t) => {
  const { h1, h2 } = await twoHosts(t, { ipv6: false })
  const odd = { ...ARP, destination: MAC2, etherType: 0x88b5, payload: Uint8Array.from({ length: 101 }, (_, i) => i) }
  const { packets } = await tcpdump(h2, 2, 'arp or ether proto 0x88b5', () => {
    h1.sendFrame('eth0', odd)
    // The answer of h2 to a request comes after it.
    h1.sendFrame('eth0', ARP)
  })
  t.same(packets.map((packet) => decodePacket(packet).ethernet), [odd, ARP])
  const bytes = Uint8Array.from(Buffer.from('0200000002010200000001010003aabb', 'hex'))
  const raw = await tcpdump(h2, 1, 'ether src 02:00:00:00:01:01', () => h1.sendFrame('eth0', bytes))
  t.same(raw.packets, [bytes])
})

t.test('VLAN tags arrive, and a capture has them', { skip: noTcpdump }, async (t) => {
  const { h1, h2 } = await twoHosts(t, { ipv6: false })
  const frames = h2.capture('eth0', { etherType: EtherType.arp, direction: 'in' })
  const vlans = [
    { protocol: 0x88a8, id: 100, priority: 2, dropEligible: true }, { protocol: 0x8100, id: 10, priority: 5, dropEligible: false },
  ]
  const { text } = await tcpdump(h2, 2, '', () => {
    h1.sendFrame('eth0', { ...ARP, vlans: [vlans[1]!] })
    h1.sendFrame('eth0', { ...ARP, vlans })
  })
  t.match(text, /ethertype 802\.1Q \(0x8100\), length 46: vlan 10, p 5,/)
  t.match(text, /ethertype 802\.1Q-QinQ \(0x88a8\), length 50: vlan 100, p 2, DEI, ethertype 802\.1Q \(0x8100\), vlan 10/)
  const [one, two] = (await collect(frames, { count: 2, timeout: 2000 })).filter(isFrame)
  t.same(one?.packet?.ethernet, { ...ARP, vlans: [vlans[1]] })
  t.same(two?.packet?.ethernet, { ...ARP, vlans })
  t.equal(one?.packet?.arp?.targetIp, '192.168.0.2')
})

t.test('a capture has what tcpdump has', { skip: noTcpdump }, async (t) => {
  const { h1, h2 } = await twoHosts(t)
  const frames = h2.capture('eth0', { filter: ({ packet }) => packet?.icmp !== undefined || packet?.arp !== undefined })
  const before = Date.now()
  const { packets } = await tcpdump(h2, 8, 'arp or icmp', () => h1.ping('192.168.0.2', { count: 3, interval: 5 }))
  const seen = (await collect(frames, { count: 8, timeout: 2000 })).filter(isFrame)
  t.same(seen.map(({ data }) => data), packets)
  t.same(seen.map(({ direction }) => direction).join(), 'in,out,in,out,in,out,in,out')
  t.same(seen.map(({ packetType }) => packetType).slice(0, 3), ['broadcast', 'outgoing', 'host'])
  t.ok(seen.every(({ time }) => time >= before - 1 && time <= Date.now() + 1), 'stamped by the kernel')
  t.ok(seen.every(({ time }, i) => i === 0 || time >= seen[i - 1]!.time), 'in order')
})

t.test('what a host makes of frames that were made by hand', async (t) => {
  const { h1 } = await twoHosts(t, { ipv6: false })
  const answers = h1.capture('eth0', { direction: 'in', etherType: EtherType.ipv4 })
  const addresses = { source: '192.168.0.1', destination: '192.168.0.2' }
  const send = (protocol: number, payload: Uint8Array) => h1.sendFrame('eth0', {
    destination: MAC2, source: MAC1, etherType: EtherType.ipv4, payload: encodeIpv4({ ...addresses, protocol, payload }),
  })
  const echo = new Uint8Array([1, 2, 3])
  send(1, encodeIcmp({ type: 8, code: 0, rest: 0x12345678, payload: echo }))
  send(17, encodeUdp({ sourcePort: 1000, destinationPort: 9, payload: echo }, addresses))
  send(6, encodeTcp({ sourcePort: 1000, destinationPort: 9, sequence: 7, flags: ['syn'], payload: new Uint8Array(0) }, addresses))
  const [reply, unreachable, reset] = (await collect(answers, { count: 3, timeout: 3000 })).filter(isFrame).map(({ packet }) => packet)
  t.match(reply, { ipv4: { checksumCorrect: true }, icmp: { type: 0, rest: 0x12345678, payload: echo } })
  t.match(unreachable, { icmp: { type: 3, code: 3 } })
  t.match(reset, { tcp: { flags: ['rst', 'ack'], acknowledgement: 8, sourcePort: 9 } })
  // A wrong checksum is dropped in silence.
  const none = h1.capture('eth0', { direction: 'in', etherType: EtherType.ipv4 })
  send(1, encodeIcmp({ type: 8, code: 0, rest: 1, payload: echo }).fill(9, 2, 4))
  t.same(await collect(none, { timeout: 100 }), [])
})

t.test('a promiscuous capture, for as long as it lasts', async (t) => {
  const { h1, h2 } = await twoHosts(t, { ipv6: false })
  const promiscuity = () => ipJson(h2.netns, 'link', 'show', 'eth0')[0].promiscuity
  const frames = h2.capture('eth0', { promiscuous: true, direction: 'in' })
  t.equal(promiscuity(), 1)
  h1.sendFrame('eth0', { ...ARP, destination: '02:ff:ff:ff:ff:ff' })
  t.match(await collect(frames, { count: 1, timeout: 2000 }),
    [{ packetType: 'other-host', packet: { ethernet: { destination: '02:ff:ff:ff:ff:ff' } } }])
  t.equal(promiscuity(), 0)
})

t.test('frames that find no room are counted', async (t) => {
  const { h1, h2 } = await twoHosts(t, { ipv6: false })
  const frames = h2.capture('eth0', { maxQueue: 65536 })
  const total = 1000
  const frame = { ...ARP, etherType: 0x88b5, payload: new Uint8Array(1400) }
  const before = h2.statistics('eth0').rxPackets
  // Nobody takes anything meanwhile.
  for (let i = 0; i < total; i++) h1.sendFrame('eth0', frame)
  t.equal(h2.statistics('eth0').rxPackets - before, total)
  const events = await collect(frames, { timeout: 1500 })
  const lost = events.reduce((sum, event) => sum + (event.type === 'overrun' ? event.lost : 0), 0)
  t.ok(lost > 0, `${lost} of ${total} lost`)
  t.equal(events.filter(isFrame).length + lost, total)
})

t.test('a capture outlives an interface that is down, not one that is gone', async (t) => {
  const { lab, h1, h2 } = await twoHosts(t, { ipv6: false })
  const [wire] = lab.wires()
  wire!.cut()
  t.throws(() => h1.sendFrame('eth0', ARP), { code: 'ENETDOWN' })
  const frames = h2.capture('eth0', { etherType: EtherType.arp, direction: 'in' })
  const first = frames.next()
  await sleep(20)
  wire!.mend()
  h1.sendFrame('eth0', ARP)
  t.match(await first, { value: { type: 'frame', packet: { arp: { targetIp: '192.168.0.2' } } } })
  const next = frames.next()
  run(h2.netns, 'ip', 'link', 'del', 'eth0')
  await t.rejects(next, { code: 'ENODEV' })
  t.match(await frames.next(), { done: true })
  t.throws(() => h1.sendFrame('eth0', ARP), { code: 'ENODEV' })
})

t.test('limits of a frame and ends of a capture', async (t) => {
  const { h1, h2 } = await twoHosts(t, { ipv6: false })
  t.throws(() => h1.sendFrame('eth0', new Uint8Array(1600)), { code: 'EMSGSIZE', message: /1600 bytes on eth0/ })
  t.throws(() => h1.sendFrame('eth0', { ...ARP, source: 'x' }), { name: 'TypeError', message: /source/ })
  const controller = new AbortController()
  const aborted = h2.capture('eth0', { signal: controller.signal })
  const next = aborted.next()
  controller.abort(new Error('enough'))
  await t.rejects(next, { message: 'enough' })
  const failing = h2.capture('eth0', { filter: () => { throw new Error('of the filter') } })
  h1.sendFrame('eth0', ARP)
  await t.rejects(failing.next(), { message: 'of the filter' })
  let seen = 0
  const one = h2.capture('eth0', { signal: AbortSignal.timeout(5000) })
  h1.sendFrame('eth0', ARP)
  for await (const _frame of one) {
    seen++
    break
  }
  t.equal(seen, 1)
})

t.test('collect ends by count, time, signal, and with the watch', async (t) => {
  const { h1, h2 } = await twoHosts(t, { ipv6: false })
  const three = h2.capture('eth0', { etherType: EtherType.arp, direction: 'in' })
  for (let i = 0; i < 5; i++) h1.sendFrame('eth0', ARP)
  t.equal((await collect(three, { count: 3 })).length, 3)
  t.match(await three.next(), { done: true })
  t.same(await collect(h2.capture('eth0', { etherType: 0x88b5 }), { timeout: 10 }), [])
  await t.rejects(collect(h2.capture('eth0'), { signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' })
  await t.rejects(collect(h2.capture('eth0'), {}), { name: 'TypeError' })
  const late = h2.capture('eth0', { etherType: EtherType.arp, direction: 'in' })
  const waiting = collect(late, { timeout: 30 })
  h1.sendFrame('eth0', ARP)
  const end = performance.now() + 120
  while (performance.now() < end);
  t.equal((await waiting).length, 1, 'what came while the event loop was blocked')
})
