// SPDX-License-Identifier: MIT
// Random matches and random packets: what a hook takes of real traffic is what the match says of the bytes.

import t, { type Test } from 'tap'
import { Netns } from '../../lib/index.js'
import { ModuleDevice } from '../../lib/clone/device.js'
import { addon, check, checkDescriptor, type RawDescriptor } from '../../lib/native.js'
import * as Link from '../../lib/net/link.js'
import { EtherType } from '../../lib/wire/ethernet.js'
import { parseMac } from '../../lib/wire/mac.js'
import type { LinkType } from '../../lib/wire/packet-match/field.js'
import { PacketMatch } from '../../lib/wire/packet-match/packet-match.js'
import { AF_PACKET, decodeLinkLayerAddress, encodeLinkLayerAddress } from '../../lib/wire/sockaddr.js'
import fc from '../support/fast-check.js'
import { hookAt, programOf, targetOf } from '../support/hooks.js'
import { noModule, until, withModule } from '../support/module.js'
import { run } from '../support/outside.js'
import { contexts, frames, matchesOf, runs } from '../support/packets.js'

if (process.env.NFKIT_FUZZ !== undefined) t.setTimeout(0)
withModule(t)

const SOCK_RAW = 3
const SOCK_NONBLOCK = 0x800
const SOL_SOCKET = 1
const SO_MARK = 36
const ETH_P_ALL = 3
const OWNED = { persistent: false, create: false }

function packetSocket(t: Test, netns: Netns, device: string): RawDescriptor {
  const socket = checkDescriptor(addon.socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0, netns.fd), 'socket')
  t.teardown(() => { socket.close() })
  check(socket.bind(encodeLinkLayerAddress(Link.get(device, { netns }).index, ETH_P_ALL)), 'bind')
  return socket
}

/** Frames that came in. */
function drain(socket: RawDescriptor): Uint8Array[] {
  const came: Uint8Array[] = []
  const into = new Uint8Array(2048)
  const sender = new Uint8Array(20)
  for (;;) {
    const length = socket.receive(into, 0, 0, sender)
    if (length < 0) return came
    if (decodeLinkLayerAddress(sender).packetType !== 'outgoing') came.push(into.slice(0, length))
  }
}

/** Wires in one namespace, so that marks survive them, with nobody that answers. */
function wires(t: Test): Netns {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  for (const [a, b] of [['v0', 'v1'], ['m0', 'm1'], ['w0', 'w1']] as const) {
    run(netns, 'ip', 'link', 'add', a, 'type', 'veth', 'peer', 'name', b)
    for (const device of [a, b]) run(netns, 'ip', 'link', 'set', device, 'addrgenmode', 'none', 'arp', 'off', 'up')
  }
  return netns
}

const typeOf = (frame: Uint8Array, at = 12) => (frame[at]! << 8) | frame[at + 1]!
const isTag = (type: number) => type === EtherType.vlan || type === EtherType.serviceVlan
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** On its arrival the outermost tag of a frame is taken off (skb_vlan_untag). Undefined: it is dropped there. */
function arrived(frame: Uint8Array): { bytes: Uint8Array; vlan?: number } | undefined {
  if (!isTag(typeOf(frame))) return { bytes: frame }
  if (frame.length < 20) return undefined
  return { bytes: Uint8Array.from([...frame.subarray(0, 12), ...frame.subarray(16)]), vlan: typeOf(frame, 14) & 0xfff }
}

/** What RAW begins with: the IP header, behind up to two tags in the frame. */
function packetIn(frame: Uint8Array): Uint8Array | undefined {
  let at = 12
  for (let tags = 0; tags < 2 && isTag(typeOf(frame, at)); tags++) {
    at += 4
    if (frame.length < at + 2) return undefined
  }
  const type = typeOf(frame, at)
  return type === EtherType.ipv4 || type === EtherType.ipv6 ? frame.subarray(at + 2) : undefined
}

const batches = fc.array(fc.tuple(frames.filter((frame) => frame.length >= 14), contexts), { minLength: 25, maxLength: 25 })

for (const at of ['ingress', 'egress'] as const) {
  for (const link of ['EN10MB', 'RAW'] as const) {
    t.test(`${at}, link type ${link}`, { skip: noModule }, async (t) => {
      const netns = wires(t)
      const device = ModuleDevice.open(netns)
      t.teardown(() => { device.close() })
      const sender = packetSocket(t, netns, 'v0')
      const monitor = packetSocket(t, netns, 'm1')
      const index = Link.get('v0', { netns }).index
      device.setTarget('m', targetOf('m0'), OWNED)
      const before = { seen: 0, redirected: 0 }
      let asked = 0
      let matched = 0
      await fc.assert(fc.asyncProperty(matchesOf(link), batches, async (spec, list) => {
        const match = PacketMatch.create(spec)
        device.setHook('h', hookAt(at, 'ipv4', {
          in: at === 'ingress' ? 'v1' : null, out: at === 'egress' ? 'v0' : null, verdict: { redirect: 'm', onFail: 'drop' }, program: programOf(spec, link),
        }), OWNED)
        const expected: string[] = []
        let coming = 0
        for (const [frame, { mark }] of list) {
          check(sender.setOption(SOL_SOCKET, SO_MARK, new Uint8Array(new Uint32Array([mark]).buffer)), 'setsockopt')
          check(sender.send(frame, 0, encodeLinkLayerAddress(index, typeOf(frame))), 'sendto')
          const seen = at === 'ingress' ? arrived(frame) : { bytes: frame }
          if (seen === undefined) continue
          coming++
          const bytes = link === 'RAW' ? packetIn(seen.bytes) : seen.bytes
          if (bytes === undefined) continue
          const { vlan } = seen as { vlan?: number }
          if (match.test(bytes, { linkType: link, mark, ...(vlan === undefined ? {} : { vlan }) })) expected.push(hex(seen.bytes))
        }
        await until(() => device.hook('h').seen - before.seen >= coming)
        const { seen, redirected, notTaken, noMemory } = device.hook('h')
        const actual: string[] = []
        await until(() => actual.push(...drain(monitor).map(hex)) >= redirected - before.redirected)
        // A tag that is still in the frame at egress is taken off on the arrival at the monitor.
        const comes = at === 'ingress' ? expected : expected.map((text) => arrived(Buffer.from(text, 'hex'))).filter((one) => one !== undefined).map(({ bytes }) => hex(bytes))
        if (JSON.stringify(actual) !== JSON.stringify(comes)) throw new Error(`the hook took ${JSON.stringify(actual)}, the match ${JSON.stringify(comes)}`)
        if (seen - before.seen !== coming || notTaken !== 0 || noMemory !== 0) throw new Error(`${seen - before.seen} of ${coming} seen, ${notTaken} not taken`)
        Object.assign(before, { seen, redirected })
        asked += coming
        matched += actual.length
      }), { numRuns: runs(8) })
      t.ok(matched > 0 && matched < asked, `${matched} of ${asked} verdicts were yes`)
    })
  }
}

// Which packets the kernel takes for sound ones is seen by a hook before the other; all of a batch have one mark.
t.test('prerouting, as far as packets get there', { skip: noModule }, async (t) => {
  const netns = wires(t)
  const device = ModuleDevice.open(netns)
  t.teardown(() => { device.close() })
  const sender = packetSocket(t, netns, 'v0')
  const monitor = packetSocket(t, netns, 'm1')
  const witness = packetSocket(t, netns, 'w1')
  const index = Link.get('v0', { netns }).index
  const mac = parseMac(Link.get('v1', { netns }).mac!)
  const both = { family: null, program: null }
  device.setTarget('m', targetOf('m0'), OWNED)
  device.setTarget('w', targetOf('w0'), OWNED)
  device.setHook('arrival', hookAt('ingress', 'ipv4', { in: 'v1', program: null }), OWNED)
  device.setHook('witness', hookAt('prerouting', 'ipv4', { ...both, priority: -1000, clone: 'w' }), OWNED)
  device.setHook('rest', hookAt('prerouting', 'ipv4', { ...both, priority: -800, verdict: 'drop' }), OWNED)
  const before = { arrived: 0, matched: 0, redirected: 0 }
  let asked = 0
  let matched = 0
  const links = fc.constantFrom<LinkType>('RAW', 'EN10MB')
  const cases = links.chain((link) => fc.tuple(fc.constant(link), matchesOf(link)))
  await fc.assert(fc.asyncProperty(cases, batches, contexts, async ([link, spec], list, { mark }) => {
    const match = PacketMatch.create(spec)
    device.setHook('h', hookAt('prerouting', 'ipv4', { ...both, priority: -900, verdict: { redirect: 'm', onFail: 'drop' }, program: programOf(spec, link) }), OWNED)
    check(sender.setOption(SOL_SOCKET, SO_MARK, new Uint8Array(new Uint32Array([mark]).buffer)), 'setsockopt')
    let coming = 0
    for (const [random] of list) {
      const frame = Uint8Array.from([...mac, ...random.subarray(6)])
      if (typeOf(frame) === EtherType.ipv4 && frame.length >= 34) sumHeader(frame)
      if (isTag(typeOf(frame))) continue
      check(sender.send(frame, 0, encodeLinkLayerAddress(index, typeOf(frame))), 'sendto')
      coming++
    }
    await until(() => device.hook('arrival').seen - before.arrived >= coming)
    before.arrived += coming
    // Packets are under RCU until the IP layer is done with them, and making a hook anew waits for those who are.
    device.setHook('arrival', hookAt('ingress', 'ipv4', { in: 'v1', program: null }), OWNED)
    const state = device.hook('witness')
    const expected: string[] = []
    const seen: Uint8Array[] = []
    await until(() => seen.push(...drain(witness)) >= state.matched - before.matched)
    for (const frame of seen) if (match.test(link === 'RAW' ? frame.subarray(14) : frame, { linkType: link, mark })) expected.push(hex(frame))
    const { redirected } = device.hook('h')
    const actual: string[] = []
    await until(() => actual.push(...drain(monitor).map(hex)) >= redirected - before.redirected)
    if (JSON.stringify(actual) !== JSON.stringify(expected)) throw new Error(`the hook took ${JSON.stringify(actual)}, the match ${JSON.stringify(expected)}`)
    Object.assign(before, { matched: state.matched, redirected })
    asked += seen.length
    matched += actual.length
  }), { numRuns: runs(10) })
  t.ok(matched > 0 && matched < asked, `${matched} of ${asked} verdicts were yes`)
})

/** Puts the checksum of an IPv4 header right. */
function sumHeader(frame: Uint8Array): void {
  const end = Math.min(14 + (frame[14]! & 15) * 4, frame.length - 1)
  frame[24] = frame[25] = 0
  let sum = 0
  for (let at = 14; at < end; at += 2) sum += typeOf(frame, at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16)
  frame[24] = (~sum >> 8) & 0xff
  frame[25] = ~sum & 0xff
}
