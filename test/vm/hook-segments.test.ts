// SPDX-License-Identifier: MIT
// Packets of many segments, of TCP and of UDP, with and without tags, copied by hooks at the points of devices and bridges: by devices that take them
// whole, that have no offloads, or a smaller MTU; cut; with a tag; and in a capture. Each copy is known byte for byte from what the wire has.

import t from 'tap'
import { Capture, CloneTarget, Hook } from '../../lib/index.js'
import type { Host, UdpSocket } from '../../lib/lab/index.js'
import { openSocket, parseAddress, setInteger, SOCK_DGRAM, socketAddress } from '../../lib/lab/socket.js'
import { check } from '../../lib/native.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import type { Packet } from '../../lib/wire/packet.js'
import { Collector } from '../support/capture.js'
import { type HookLab, hookLab, PORT } from '../support/hooks.js'
import { counters, noModule, until, withModule } from '../support/module.js'
import { batch } from '../support/outside.js'
import { ipLength, segmentsOf, withoutOffloads } from '../support/segments.js'
import { brief, Tape, withTag } from '../support/tape.js'

withModule(t)

const TCP_PORT = 8080
const isLong = process.env['NFKIT_SEGMENTS'] === 'long'
const BYTES = 40_000
/** Of eth6. */
const SMALL_MTU = 1000
const SNAPLEN = 120
const SOL_UDP = 17
const UDP_SEGMENT = 103

const isWanted = ({ tcp, udp }: Packet) => tcp?.destinationPort === TCP_PORT || udp?.destinationPort === PORT

/** Packets without a tag, with one, with two: by turns at each point, in the long form all at each. */
const STREAMS: readonly { net: number; family: IpFamily; tags: number }[] = [
  { net: 3, family: 'ipv6', tags: 0 }, { net: 5, family: 'ipv4', tags: 1 }, { net: 7, family: 'ipv4', tags: 2 },
]

const POINTS: readonly { at: 'ingress' | 'egress' | `bridge-${'prerouting' | 'local-in' | 'forward' | 'local-out' | 'postrouting'}`; in?: string; out?: string; from: 'b1' | 'box'; to: 'b2' | 'box' }[] = [
  { at: 'ingress', in: 'eth3', from: 'b1', to: 'b2' }, { at: 'bridge-prerouting', from: 'b1', to: 'b2' }, { at: 'bridge-local-out', from: 'box', to: 'b2' },
  { at: 'bridge-forward', from: 'b1', to: 'b2' }, { at: 'egress', out: 'eth4', from: 'b1', to: 'b2' }, { at: 'bridge-postrouting', from: 'b1', to: 'b2' },
  { at: 'bridge-local-in', from: 'b1', to: 'box' },
]

const addressOf = (host: 'b1' | 'b2' | 'box', net: number, family: IpFamily) => {
  const number = { b1: '1', b2: '2', box: family === 'ipv4' ? '254' : 'fe' }[host]
  return family === 'ipv4' ? `192.168.${net}.${number}` : `fd0${net}::${number}`
}

/** 802.1Q 5, and 802.1Q 7 in 802.1ad 6. */
function addVlans(net: HookLab): void {
  for (const [name, device] of [['b1', 'eth0'], ['b2', 'eth0'], ['box', 'br0']] as const) {
    batch(net[name].netns, 'ip', [
      `link add link ${device} name v5 type vlan id 5`, `link add link ${device} name v6 type vlan proto 802.1ad id 6`, 'link add link v6 name v7 type vlan id 7',
      ...['v5', 'v6', 'v7'].map((vlan) => `link set ${vlan} up`),
      ...[5, 7].flatMap((number) => [`addr add ${addressOf(name, number, 'ipv4')}/24 dev v${number}`, `addr add ${addressOf(name, number, 'ipv6')}/64 dev v${number} nodad`]),
    ])
  }
}

/** Datagrams that the kernel keeps in one packet until a device is to send it. */
async function sendSegments(from: Host, to: Host, address: string, family: IpFamily, size: number): Promise<number[]> {
  const receiver = to.listen({ protocol: 'udp', port: PORT, address }) as UdpSocket
  const socket = openSocket(from.netns, family, SOCK_DGRAM, 0, 'UDP')
  try {
    setInteger(socket, SOL_UDP, UDP_SEGMENT, size, 'UDP')
    check(socket.connect(socketAddress(from.netns, parseAddress(address, 'address'), PORT)), 'connect')
    check(socket.send(new Uint8Array(3 * size + 50).map((_, i) => i % 251), 0), 'send')
    const lengths: number[] = []
    await until(() => {
      for (let came = receiver.poll(); came !== undefined; came = receiver.poll()) lengths.push(came.data.length)
      return lengths.length >= 4
    }, `of the datagrams only ${lengths.join(' ')} came`)
    return lengths
  } finally {
    socket.close()
    receiver.close()
  }
}

/** No connection will send anything any more. */
const isQuiet = (host: Host) => ['tcp', 'tcp6'].every((name) => host.netns.readProc(name).trim().split('\n').slice(1).every((line) => ['06', '07', '0A'].includes(line.trim().split(/\s+/)[3]!)))

t.test('segments at the points of devices and bridges', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { lab, box, monitor, b1, b2 } = net
  const { netns } = box
  addVlans(net)
  const outputs = { eth2: 'eth0', eth5: 'eth1', eth6: 'eth2', eth7: 'eth3', eth8: 'eth4' } as const
  // A tag that the device does not add itself counts as part of the frame.
  for (const [name, mtu] of [['eth5', 1600], ['eth6', 1500], ['eth7', 1500], ['eth8', 1600]] as const) lab.wire({ host: box, name }, { host: monitor, name: outputs[name] }, { mtu })
  batch(netns, 'ip', [`link set eth6 mtu ${SMALL_MTU}`])
  for (const device of ['eth5', 'eth8']) withoutOffloads(box, device)
  const tapes = Object.fromEntries(Object.entries(outputs).map(([device, at]) => [device, new Tape(monitor, at, isWanted)])) as Record<keyof typeof outputs, Tape>
  const atBox = new Tape(box, 'eth3', isWanted)
  const atB2 = new Tape(b2, 'eth0', isWanted)
  const match = { or: [{ protocol: 'tcp' as const, destinationPort: TCP_PORT }, { protocol: 'udp' as const, destinationPort: PORT }] }

  for (const [turn, { at, from, to, ...devices }] of POINTS.entries()) {
    const streams = isLong ? STREAMS : [STREAMS[turn % STREAMS.length]!]
    const whole = CloneTarget.create({ name: 'whole', netns, devices: ['eth2', 'eth5', 'eth6', { device: 'eth8', vlan: { id: 900, priority: 5 } }], capture: true })
    const cut = CloneTarget.create({ name: 'cut', netns, devices: ['eth7', { device: 'eth8', vlan: { id: 901, protocol: '802.1ad' } }], snaplen: SNAPLEN, defer: true })
    const capture = Capture.open({ from: 'whole', netns, buffer: 16 << 20 })
    const got = new Collector(capture)
    const hooks = [whole, cut].map(({ name }, i) => Hook.create({ at, ...devices, priority: -300 - i, match, verdict: 'accept', clone: name, netns }))
    for (const tape of [atBox, atB2, ...Object.values(tapes)]) tape.take()
    for (const { net: number, family } of streams) {
      const address = addressOf(to, number, family)
      const what = `${at}, ${family} in network ${number}`
      t.match(await lab.flow({ from: net[from], to: net[to], address, family, port: TCP_PORT, bytes: BYTES, timeout: 60_000 }), { outcome: 'completed', bytesReceived: BYTES }, `${what}: the stream arrives whole`)
      // As long as the small MTU allows, and a little longer.
      for (const size of [SMALL_MTU, SMALL_MTU + 2].map((length) => length - (family === 'ipv4' ? 28 : 48))) {
        t.same(await sendSegments(net[from], net[to], address, family, size), [size, size, size, 50], `${what}: the datagrams too`)
      }
    }
    await until(() => [b1, b2, box].every(isQuiet), 'the connections did not end')
    const tape = to === 'box' ? atBox : atB2
    await until(() => tape.frames.length >= hooks[0]!.stats().matched!, `${at}: ${tape.frames.length} of ${hooks[0]!.stats().matched} frames`)
    const wire = tape.take()
    t.match(hooks.map((hook) => hook.stats()), new Array(2).fill({ matched: wire.length, accepted: wire.length, noHeader: 0, undecided: 0, noMemory: 0 }), `${at}: the hooks met what the wire has`)

    // The capture has the frames as they are there, and tells how each would be cut.
    const records = await got.count(wire.length)
    const captured = records.map(({ data, vlan }) => (vlan === null ? Buffer.from(data) : withTag(data, vlan.id, vlan)))
    t.same(brief(captured), brief(wire), `${at}: captured`)
    t.ok(records.every(({ link, wireLength, data, point }) => link === 'EN10MB' && wireLength === data.length && point === at), at)
    const pieces = captured.map((frame, i) => segmentsOf(frame, records[i]!.segmentSize))
    for (const { tags } of streams) {
      for (const protocol of [6, 17]) {
        const large = pieces.filter((segments, i) => segments.length > 1 && tagsOf(captured[i]!) === tags && protocolOf(captured[i]!) === protocol)
        t.ok(large.length > 0, `${at}: ${large.length} packets of protocol ${protocol} with ${tags} tags were in segments`)
      }
    }
    const fits = captured.filter((_, i) => Math.max(...pieces[i]!.map(ipLength)) <= SMALL_MTU)
    // Of the device's tag, the snaplen does not know.
    const short = captured.flatMap((frame, i) => {
      const own = records[i]!.vlan === null ? 0 : 4
      return records[i]!.data.length <= SNAPLEN ? [frame] : pieces[i]!.map((segment) => segment.subarray(0, SNAPLEN + own))
    })
    const shortInside = captured.flatMap((frame, i) => (frame.length <= SNAPLEN ? [frame] : pieces[i]!.map((segment) => segment.subarray(0, SNAPLEN))))
    const expected = {
      eth2: captured, eth5: pieces.flat(), eth6: fits, eth7: short,
      eth8: [...pieces.flat().map((frame) => withTag(frame, 900, { priority: 5 })), ...shortInside.map((frame) => finished(withTag(frame, 901, { protocol: 0x88a8 })))],
    }
    for (const [device, frames] of Object.entries(expected)) {
      const { frames: came } = tapes[device as keyof typeof outputs]
      await until(() => came.length >= frames.length, `${at}: ${came.length} of ${frames.length} frames by ${device}: ${JSON.stringify(counters(box, `target:whole:${device}`))}`)
      await tapes[device as keyof typeof outputs].end(box, device)
      t.same(brief(tapes[device as keyof typeof outputs].take()), brief(frames), `${at}: by ${device}`)
    }
    const N = wire.length
    const bytes = records.reduce((sum, { data }) => sum + data.length, 0)
    t.same(counters(box, 'target:whole:eth2'), { seen: N, cloned: N, sent: N, bytes })
    t.match(counters(box, 'target:whole:eth5'), { seen: N, cloned: N, sent: N, bytes })
    t.match(counters(box, 'target:whole:eth6'), { seen: N, cloned: fits.length, sent: fits.length, too_big: N - fits.length })
    t.same(counters(box, 'target:cut:eth7'), { seen: N, cloned: N, sent: N, bytes: short.reduce((sum, { length }) => sum + length, 0) - 4 * short.filter((frame) => tagsOf(frame) > 0).length })
    for (const hook of hooks) hook.close()
    capture.close()
    for (const target of [whole, cut]) target.close()
  }
  for (const tape of [atBox, atB2, ...Object.values(tapes)]) await tape.close()
})

/** By a device without offloads: what was not cut gets its checksum. */
const finished = (frame: Buffer) => (ipLength(frame) === totalLength(frame) ? segmentsOf(frame, 0)[0]! : frame)

function startOf(frame: Buffer): number {
  let at = 12
  while ([0x8100, 0x88a8].includes(frame.readUInt16BE(at))) at += 4
  return at
}
const tagsOf = (frame: Buffer) => (startOf(frame) - 12) / 4
const isIpv6 = (frame: Buffer) => frame.readUInt16BE(startOf(frame)) === 0x86dd
const protocolOf = (frame: Buffer) => frame[startOf(frame) + 2 + (isIpv6(frame) ? 6 : 9)]!
const totalLength = (frame: Buffer) => (isIpv6(frame) ? frame.readUInt16BE(startOf(frame) + 6) + 40 : frame.readUInt16BE(startOf(frame) + 4))
