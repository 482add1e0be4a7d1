// SPDX-License-Identifier: MIT
// Copies of SCTP, whose checksum is not that of the other protocols: it covers the packet alone, and devices fill it in, or nobody does (net/sctp/output.c).

import t from 'tap'
import { Capture, CloneTarget } from '../../lib/index.js'
import type { Host } from '../../lib/lab/index.js'
import { openSocket, parseAddress, SOCK_STREAM, socketAddress } from '../../lib/lab/socket.js'
import { addon, check, type RawDescriptor } from '../../lib/native.js'
import { IpProtocol } from '../../lib/wire/ip-protocol.js'
import { AF_INET, AF_INET6 } from '../../lib/wire/rtnetlink.js'
import { Collector, hex, watch } from '../support/capture.js'
import { cloneTo, counters, mirrorLab, noModule, until, withModule } from '../support/module.js'

withModule(t)

const SOCK_NONBLOCK = 0x800

/** Of SCTP (RFC 9260, appendix A): reflected, as it is in the packet, which has it zero meanwhile. */
function crc32c(packet: Uint8Array): number {
  let sum = 0xffffffff
  for (const [at, byte] of packet.entries()) {
    sum ^= at >= 8 && at < 12 ? 0 : byte
    for (let bit = 0; bit < 8; bit++) sum = (sum & 1) !== 0 ? (sum >>> 1) ^ 0x82f63b78 : sum >>> 1
  }
  return ~sum >>> 0
}

t.test('what is cut has the checksum of the whole packet, one of its own; in captures it is known as unchecked', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { h1, h2, box, monitor } = net
  const { netns } = box
  const FILL = 0x5a
  const DATA = 0
  for (const [chain, family, from, source, to, destination] of [
    ['FORWARD', 'ipv4', h1, '192.168.1.1', h2, '192.168.2.2'], ['INPUT', 'ipv6', h1, 'fd01::1', box, 'fd01::fe'], ['OUTPUT', 'ipv4', box, '192.168.2.254', h2, '192.168.2.2'],
  ] as const) {
    const listener = addon.socket(family === 'ipv4' ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, IpProtocol.sctp, to.netns.fd)
    if (typeof listener === 'number') return t.comment(`this kernel has no SCTP (${listener}): CONFIG_IP_SCTP`)
    const at = (host: Host, address: string, port: number) => socketAddress(host.netns, parseAddress(address, 'address'), port)
    check(listener.bind(at(to, destination, 9000)), 'bind')
    check(listener.listen(1), 'listen')
    const sender = openSocket(from.netns, family, SOCK_STREAM, IpProtocol.sctp, 'SCTP')
    check(sender.bind(at(from, source, 9001)), 'bind')
    cloneTo(box, family, chain, chain, '-p sctp --dport 9000', 'mangle')
    const target = CloneTarget.create({ name: chain, netns, devices: ['eth2'], snaplen: 100, capture: true })
    const capture = Capture.open({ from: chain, netns })
    const got = new Collector(capture)
    const type = family === 'ipv4' ? 0x08 : 0x86
    const transport = 14 + (family === 'ipv4' ? 20 : 40)
    const isSctp = (frame: Uint8Array) => frame[12] === type && frame[family === 'ipv4' ? 23 : 20] === IpProtocol.sctp
    const cut = watch(monitor, isSctp)
    sender.connect(at(to, destination, 9000))
    let receiver: RawDescriptor | undefined
    await until(() => { const one = listener.accept(); if (typeof one !== 'number') receiver = one; return receiver !== undefined }, 'no association')
    // The last one leaves in packets that a device is to cut, as soon as the window of congestion allows.
    const sizes = [900, 1200, 1400, 20_000, 30_000]
    const into = new Uint8Array(1 << 17)
    let received = 0
    let next = 0
    await until(() => {
      if (next < sizes.length && sender.send(new Uint8Array(sizes[next]!).fill(FILL), 0) >= 0) next++
      for (let length = 1; length > 0;) { length = receiver!.receive(into, 0, 0); if (length > 0) received += length }
      return received === sizes.reduce((a, b) => a + b, 0)
    }, 'all of it is received')
    await until(() => { const { cloned, sent } = counters(box, `target:${chain}`); return cloned === sent })
    await until(() => cut.frames.reduce((sum, frame) => sum + frame.length, 0) === counters(box, `target:${chain}:eth2`)['bytes'], 'as many bytes came as were counted')
    await cut.stop()
    let checked = 0
    for (const frame of cut.frames) {
      const view = new DataView(frame.buffer, frame.byteOffset)
      const length = family === 'ipv4' ? view.getUint16(16) - 20 : view.getUint16(18)
      if (length > 1500 || frame.length !== Math.min(100, transport + length)) t.fail(`${chain}: ${frame.length} bytes of a packet of ${length}`)
      const chunk = view.getUint16(transport + 14)
      if (frame.length === transport + length || frame[transport + 12] !== DATA || length !== 12 + ((chunk + 3) & ~3)) continue
      // What was cut off is known: one chunk of data, all of the same, and up to a multiple of four of zeros.
      const whole = new Uint8Array(length)
      whole.fill(FILL, 12 + 16, 12 + chunk)
      whole.set(frame.subarray(transport))
      if (view.getUint32(transport + 8, true) !== crc32c(whole)) t.fail(`${chain}: ${view.getUint32(transport + 8, true)} instead of ${crc32c(whole)}: ${hex(frame)}`)
      checked++
    }
    t.ok(checked > 25, `${chain}: ${checked} checksums`)
    const packets = await got.count(counters(box, `target:${chain}`)['seen']!)
    const data = packets.filter(({ data, link }) => data[(link === 'RAW' ? 0 : 14) + (family === 'ipv4' ? 20 : 40) + 12] === DATA)
    t.ok(data.length > 0 && data.every(({ checksumPartial }) => checksumPartial), `${chain}: ${data.length} packets that were captured`)
    t.ok(data.some(({ wireLength }) => wireLength > 1514), `${chain}: one is to be cut by a device`)
    t.ok(cut.frames.length > packets.length, `${chain}: ${packets.length} packets left in ${cut.frames.length} frames`)
    capture.close()
    target.close()
    for (const socket of [sender, receiver!, listener]) socket.close()
  }
})
