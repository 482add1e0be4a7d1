// SPDX-License-Identifier: MIT
// Packets that are not sent as they are: TCP in segments of many frames, fragments, datagrams longer than the MTU.

import { createHash } from 'node:crypto'
import t from 'tap'
import { Link } from '../../lib/index.js'
import type { Host } from '../../lib/lab/index.js'
import { datagram, fragments } from '../support/datagram.js'
import { arrivals, clone, counters, mirrorLab, noModule, TABLE, until, withModule } from '../support/module.js'
import { run, tryRun } from '../support/outside.js'

withModule(t)

/** Long packets by length and digest, so that a failure can be read; sorted, since CPUs may overtake one another. */
const brief = (packets: readonly string[]) => packets.map((text) => `${text.length / 2} ${createHash('sha256').update(text).digest('hex').slice(0, 12)}`).sort()

const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!

/** Puts the payloads of TCP segments together, by their sequence numbers; the segments may overlap. */
class Stream {
  #first: number | undefined
  readonly bytes: Uint8Array
  readonly #there: Uint8Array
  missing: number

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
    this.#there = new Uint8Array(size)
    this.missing = size
  }

  add({ flags, sequence, payload }: { flags: readonly string[]; sequence: number; payload: Uint8Array }): void {
    if (flags.includes('syn')) this.#first = (sequence + 1) >>> 0
    if (payload.length === 0) return
    const at = (sequence - this.#first!) >>> 0
    this.bytes.set(payload, at)
    const there = this.#there.subarray(at, at + payload.length)
    this.missing -= there.reduce((count, one) => count + 1 - one, 0)
    there.fill(1)
  }
}

for (const [family, chain, address] of [
  ['ipv4', 'FORWARD', '192.168.2.2'], ['ipv6', 'FORWARD', 'fd02::2'], ['ipv4', 'INPUT', '192.168.1.254'], ['ipv6', 'OUTPUT', 'fd02::2'],
] as const) {
  t.test(`TCP over ${family} with segmentation offload, ${chain}: every byte of the stream is copied`, { skip: noModule }, async (t) => {
    const { h1, h2, box, monitor } = await mirrorLab(t)
    clone(box, family, chain, '-p tcp --dport 8080')
    const bytes = 1 << 19
    const sent = Buffer.alloc(bytes)
    for (let i = 0; i < bytes; i++) sent[i] = (i * 7 + (i >> 8)) & 0xff
    const stream = new Stream(bytes)
    let longest = 0
    const watch = monitor.capture('eth0', { promiscuous: true, direction: 'in', maxQueue: 16 << 20 })
    const reading = (async () => {
      for await (const item of watch) {
        if (item.type !== 'frame') throw new Error('the capture lost frames')
        const { tcp } = item.packet ?? {}
        if (tcp === undefined) continue
        longest = Math.max(longest, item.data.length)
        stream.add(tcp)
        if (stream.missing === 0) return
      }
    })()
    const to = chain === 'INPUT' ? box : h2
    const from = chain === 'OUTPUT' ? box : h1
    const server = to.listen({ port: 8080, address, serve: 'discard' })
    const connection = await from.connect({ address, port: 8080 })
    await connection.write(sent)
    await connection.close()
    await reading
    await watch.return!()
    server.close()
    t.ok(Buffer.from(stream.bytes).equals(sent), 'the bytes are those that were sent')
    t.ok(longest > 1514, `a copy of up to ${longest} bytes stayed in one piece, since the wire takes that`)
    const { seen, cloned, sent: done, ...other } = counters(box)
    t.same(other, {}, 'nothing was dropped')
    t.ok(seen! > 0 && seen === cloned && cloned === done)
  })
}

/** The payloads of UDP datagrams that came in fragments, put together. */
function reassemble(packets: readonly string[]): string[] {
  const parts = new Map<number, { at: number; data: Buffer; last: boolean }[]>()
  const whole: string[] = []
  for (const text of packets) {
    const bytes = Buffer.from(text, 'hex')
    const length = bytes.readUInt16BE(2)
    const flags = bytes.readUInt16BE(6)
    const id = bytes.readUInt16BE(4)
    const list = parts.get(id) ?? []
    parts.set(id, [...list, { at: (flags & 0x1fff) * 8, data: bytes.subarray(20, length), last: (flags & 0x2000) === 0 }])
    const sorted = parts.get(id)!.sort((a, b) => a.at - b.at)
    const size = sorted.reduce((sum, { data }) => sum + data.length, 0)
    const end = sorted.at(-1)!
    if (end.last && size === end.at + end.data.length) {
      whole.push(Buffer.concat(sorted.map(({ data }) => data)).toString('hex'))
      parts.delete(id)
    }
  }
  return whole
}

t.test('fragments of IPv4, each as it is and put together by connection tracking', { skip: noModule }, async (t) => {
  const { h1, h2, box, monitor } = await mirrorLab(t)
  h2.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  clone(box, 'ipv4', 'FORWARD', '-p udp')
  const pieces = fragments({ to: macOf(box), source: '192.168.1.1', destination: '192.168.2.2', size: 3000, fill: 77 }, 1000)
  const pass = async () => {
    let originals: string[] = []
    const copies = await arrivals(box, 'eth2', monitor, async () => {
      originals = await arrivals(box, 'eth1', h2, async () => { for (const piece of pieces) h1.sendFrame('eth0', piece) }, () => pieces.length)
    }, () => pieces.length)
    return { originals, copies }
  }
  const apart = await pass()
  t.equal(apart.originals.length, pieces.length)
  t.same(brief(apart.copies), brief(apart.originals))
  t.same(counters(box), { seen: pieces.length, cloned: pieces.length, sent: pieces.length })

  // Now FORWARD sees the whole datagram, and it leaves in fragments of the size that they came in.
  run(box.netns, 'iptables-legacy', '-t', 'mangle', '-A', 'PREROUTING', '-m', 'conntrack', '--ctstate', 'NEW')
  const together = await pass()
  t.equal(counters(box)['seen'], pieces.length + 1, 'one datagram')
  t.same(brief(reassemble(together.copies)), brief(reassemble(together.originals)))
  t.equal(reassemble(together.copies).length, 1)
  t.same(together.copies.map((text) => text.length).sort(), together.originals.map((text) => text.length).sort(), 'the sizes of the fragments too')
})

t.test('a datagram of the box that is longer than the MTU', { skip: noModule }, async (t) => {
  const { h1, box, monitor } = await mirrorLab(t)
  clone(box, 'ipv4', 'OUTPUT', '-p udp')
  clone(box, 'ipv6', 'OUTPUT', '-p udp')
  const data = new Uint8Array(4000).map((_, i) => i % 251)
  for (const [address, any] of [['192.168.1.1', '0.0.0.0'], ['fd01::1', '::']] as const) {
    const sink = h1.listen({ protocol: 'udp', port: 9000, address: any })
    const socket = await box.connect({ protocol: 'udp', address, port: 9000 })
    let originals: string[] = []
    const copies = await arrivals(box, 'eth2', monitor, async () => {
      originals = await arrivals(box, 'eth0', h1, () => socket.send(data), () => 3)
    }, () => 3)
    t.same((await sink.receive()).data, data, 'the original is whole')
    t.equal(originals.length, 3)
    const withoutId = (packets: string[]) => packets.map((text) => text.length).sort()
    t.same(withoutId(copies), withoutId(originals), address)
    if (address === '192.168.1.1') t.same(brief(reassemble(copies)), brief(reassemble(originals)))
    sink.close()
  }
})

t.test('a mirror port with a smaller MTU', { skip: noModule }, async (t) => {
  const { h1, h2, box, monitor } = await mirrorLab(t)
  for (const family of ['ipv4', 'ipv6'] as const) clone(box, family, 'FORWARD', '-p udp')
  for (const address of ['0.0.0.0', '::']) h2.listen({ protocol: 'udp', port: 9000, address, serve: 'discard' })
  Link.set('eth2', { mtu: 1280 }, { netns: box.netns })
  const send = async (source: string, destination: string, size: number, dontFragment: boolean, copies: number) => {
    let originals: string[] = []
    const seen = await arrivals(box, 'eth2', monitor, async () => {
      originals = await arrivals(box, 'eth1', h2, async () => h1.sendFrame('eth0', datagram({ to: macOf(box), source, destination, size, dontFragment, fill: size & 0xff })), () => 1)
    }, () => copies)
    t.equal(originals.length, 1)
    return { originals, seen }
  }
  const may = await send('192.168.1.1', '192.168.2.2', 1400, false, 2)
  t.equal(may.seen.length, 2, 'without DF it is sent in fragments')
  t.same(brief(reassemble(may.seen)), brief([may.originals[0]!.slice(40)]))
  t.same((await send('192.168.1.1', '192.168.2.2', 1400, true, 0)).seen, [])
  t.same((await send('fd01::1', 'fd02::2', 1400, true, 0)).seen, [])
  const fits = await send('fd01::1', 'fd02::2', 1232, true, 1)
  t.same(brief(fits.seen), brief(fits.originals), 'what just fits is copied')
  t.same(counters(box), { seen: 4, cloned: 2, sent: 2, too_big: 2 })

  // Segments of TCP that are longer than the monitor takes are counted, each packet of the stack as one.
  const flow = await h1.connect({ address: '192.168.2.2', port: await listening(h2) })
  clone(box, 'ipv4', 'FORWARD', '-p tcp', { mark: 9 })
  await flow.write(new Uint8Array(200_000))
  await flow.close()
  await until(() => (counters(box, 9)['seen'] ?? 0) > 0)
})

t.test('an MTU in which there is no room for a fragment', { skip: noModule }, async (t) => {
  const { h1, h2, box, monitor } = await mirrorLab(t)
  h2.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  clone(box, 'ipv4', 'FORWARD', '-p udp')
  const frame = datagram({ to: macOf(box), source: '192.168.1.1', destination: '192.168.2.2', size: 100 })
  for (const [mtu, fragments] of [[27, 0], [28, 14]] as const) {
    run(box.netns, 'ip', 'route', 'replace', 'default', 'dev', 'eth2', 'table', String(TABLE), 'mtu', String(mtu))
    const before = counters(box)['too_big'] ?? 0
    const copies = await arrivals(box, 'eth2', monitor, async () => { await arrivals(box, 'eth1', h2, async () => h1.sendFrame('eth0', frame), () => 1) }, () => fragments)
    t.equal(copies.length, fragments, `${mtu} bytes`)
    t.equal((counters(box)['too_big'] ?? 0) - before, fragments === 0 ? 1 : 0)
  }
})

t.test('fragments for a queue that drops others instead: each is sent', { skip: noModule }, async (t) => {
  const { h1, h2, box } = await mirrorLab(t)
  h2.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  clone(box, 'ipv4', 'FORWARD', '-p udp')
  run(box.netns, 'ip', 'route', 'replace', 'default', 'dev', 'eth2', 'table', String(TABLE), 'mtu', '128')
  const add = 'tc qdisc add dev eth2'
  if (tryRun(box.netns, 'sh', '-ec', `${add} root handle 1: tbf rate 8bit burst 200 limit 100000; ${add} parent 1:1 handle 2: fq_codel limit 2`).status !== 0) return t.comment('no tbf here')
  await arrivals(box, 'eth1', h2, async () => h1.sendFrame('eth0', datagram({ to: macOf(box), source: '192.168.1.1', destination: '192.168.2.2', size: 1000 })), () => 1)
  await until(() => counters(box)['sent'] === 1)
  const queue = (JSON.parse(run(box.netns, 'tc', '-s', '-j', 'qdisc', 'show', 'dev', 'eth2')) as { kind: string; packets: number; drops: number; qlen: number }[]).find(({ kind }) => kind === 'fq_codel')!
  // 10 of up to 104 of the 1008 bytes. That which tbf looks at counts twice.
  t.ok(queue.packets + queue.drops + queue.qlen >= 11, JSON.stringify(queue))
})

async function listening(host: Host): Promise<number> {
  return host.listen({ port: 0, serve: 'discard' }).port
}
