// SPDX-License-Identifier: MIT
// Frames with VLAN tags, of 802.1Q and 802.1ad, taken off by the kernel or in the frame, at the points where the box itself sends and receives: copies and
// captures have the tags of the wire, another one goes outside of them, a match knows the outermost, and an MTU counts what the kernel would.

import t from 'tap'
import { Capture, CloneTarget, Hook, Link } from '../../lib/index.js'
import { encodeEthernet, EtherType, type Host } from '../../lib/lab/index.js'
import type { HookPoint } from '../../lib/wire/module/hook-points.js'
import { Collector } from '../support/capture.js'
import { datagram } from '../support/datagram.js'
import { hookAt, hookLab, programOf, PORT, statsOf } from '../support/hooks.js'
import { counters, noModule, until, withModule } from '../support/module.js'
import { batch } from '../support/outside.js'
import { brief, Tape, withTag } from '../support/tape.js'

withModule(t)

const OWNED = { persistent: false, create: true }
const FROM = '02:00:00:00:0f:0f'
/** Of eth6. */
const SMALL_MTU = 1400
const Q = EtherType.vlan
const AD = EtherType.serviceVlan

type Tag = readonly [protocol: number, id: number, priority: number]

/** By which device of a host a frame is sent, with which tags in it, from the outermost on; and which tags it has beside it and in it where a hook meets it. */
interface Way { host: Host; device: string; sent: readonly Tag[]; beside: readonly Tag[]; inside: readonly Tag[] }

/** Devices that put a tag beside the frame. */
const VLANS: readonly { name: string; tag: Tag }[] = [{ name: 'v5', tag: [Q, 5, 0] }, { name: 'v6', tag: [AD, 6, 0] }]
const SETS: readonly (readonly Tag[])[] = [[], [[Q, 5, 3]], [[AD, 5, 0]], [[AD, 6, 1], [Q, 5, 0]], [[Q, 5, 0], [Q, 7, 2]], [[AD, 5, 0], [Q, 7, 2], [Q, 8, 0]]]

/** Frames of the box: a packet socket leaves the tags in them. */
const sentBy = (host: Host, device: string): Way[] => [
  ...SETS.map((sent) => ({ host, device, sent, beside: [], inside: sent })),
  ...VLANS.flatMap(({ name, tag }) => [[], [[Q, 7, 0]], [[Q, 5, 1], [Q, 8, 0]]].map((sent) => ({ host, device: name, sent: sent as unknown as Tag[], beside: [tag], inside: sent as unknown as Tag[] }))),
]

/** Frames that come in: the outermost tag is taken off (skb_vlan_untag). */
const receivedFrom = (host: Host): Way[] => SETS.map((sent) => ({ host, device: 'eth0', sent, beside: sent.slice(0, 1), inside: sent.slice(1) }))

/** On a bridge with service VLANs tags of 802.1Q are part of the frame (__allowed_ingress). */
const onServiceBridge = (ways: readonly Way[]): Way[] => ways.filter(({ sent, device }) => device !== 'v6' && (sent[0]?.[0] !== AD || sent[0][1] === 5)).map((way) => {
  const tags = [...way.beside, ...way.inside]
  const count = tags[0]?.[0] === AD ? 1 : 0
  return { ...way, beside: tags.slice(0, count), inside: tags.slice(count) }
})

const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!

t.test('tags at the points of what the box sends and receives', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { lab, box, monitor, b1, b2, h2, device } = net
  const { netns } = box
  for (const [name, at] of [['eth5', 'eth1'], ['eth6', 'eth2']] as const) lab.wire({ host: box, name }, { host: monitor, name: at })
  batch(netns, 'ip', [`link set eth6 mtu ${SMALL_MTU}`])
  const isWanted = ({ ethernet }: { ethernet: { source: string } }) => ethernet.source === FROM
  const tapes = ([[monitor, 'eth0'], [monitor, 'eth1'], [monitor, 'eth2'], [box, 'eth3'], [b2, 'eth0'], [h2, 'eth0']] as const).map(([host, name]) => new Tape(host, name, isWanted))
  const [asIs, tagged, small, atBox, atB2, atH2] = tapes as [Tape, Tape, Tape, Tape, Tape, Tape]

  /** Frames of each kind through a point, as long as the small MTU allows and a little longer. */
  const pass = async (at: HookPoint, devices: { in?: string; out?: string }, ways: readonly Way[], to: string, wire: Tape, what: string) => {
    for (const tape of tapes) tape.take()
    const target = CloneTarget.create({ name: 'probe', netns, devices: ['eth2', { device: 'eth5', vlan: { id: 900, priority: 6 } }, 'eth6'], capture: true })
    const capture = Capture.open({ from: 'probe', netns })
    const got = new Collector(capture)
    const hook = Hook.create({ at, ...devices, priority: -300, match: { sourceMac: FROM }, verdict: 'accept', clone: 'probe', netns })
    const matches = (['EN10MB', 'RAW'] as const).flatMap((link) => (link === 'RAW' ? [5] : [5, 7]).map((id) => ({ name: `${link}.${id}`, link, id })))
    for (const { name, link, id } of matches) {
      device.setHook(name, hookAt(at, 'ipv4', { in: devices.in ?? null, out: devices.out ?? null, priority: -299, program: programOf({ vlan: id, destinationPort: PORT }, link) }), OWNED)
    }
    const sent = ways.flatMap((way) => {
      // Of tags in the frame one is not counted, as by is_skb_forwardable().
      const most = SMALL_MTU - 4 * Math.max(0, way.inside.length - 1)
      return [most, most + 2].map((length, i) => ({ way, length, fits: i === 0 }))
    }).map(({ way, length, fits }, i) => {
      const payload = datagram({ to, source: '192.168.3.1', destination: '192.168.3.2', port: PORT, size: length - 28, fill: i }).subarray(14)
      const frame = (tags: readonly Tag[]) => encodeEthernet({ destination: to, source: FROM, etherType: EtherType.ipv4, payload, vlans: tags.map(([protocol, id, priority]) => ({ protocol, id, priority })) })
      way.host.sendFrame(way.device, frame(way.sent))
      return { way, fits, frame: frame([...way.beside, ...way.inside]) }
    })
    await until(() => wire.frames.length >= sent.length, `${what}: ${wire.frames.length} of ${sent.length} frames went on`)
    const frames = wire.take()
    t.same(brief(frames), brief(sent.map(({ frame }) => frame)), `${what}: the frames go on with their tags`)
    const records = await got.count(sent.length)
    t.same(brief(records.map(({ data, vlan }) => (vlan === null ? data : withTag(data, vlan.id, vlan)))), brief(frames), `${what}: captured`)
    t.ok(records.every(({ link, wireLength, data, point }) => link === 'EN10MB' && wireLength === data.length && point === at), what)
    t.equal(records.filter(({ vlan }) => vlan !== null).length, sent.filter(({ way }) => way.beside.length > 0).length, `${what}: tags beside the frame`)
    const fitting = sent.filter(({ fits }) => fits).map(({ frame }) => frame)
    for (const [tape, name, expected] of [
      [asIs, 'eth2', frames], [tagged, 'eth5', frames.map((frame) => withTag(frame, 900, { priority: 6 }))], [small, 'eth6', fitting],
    ] as const) {
      await until(() => tape.frames.length >= expected.length, `${what}: ${tape.frames.length} of ${expected.length} by ${name}: ${JSON.stringify(counters(box, `target:probe:${name}`))}`)
      await tape.end(box, name)
      t.same(brief(tape.take()), brief(expected), `${what}: by ${name}`)
    }
    t.match(counters(box, 'target:probe:eth2'), { seen: sent.length, sent: sent.length, bytes: records.reduce((sum, { data }) => sum + data.length, 0) }, what)
    t.match(counters(box, 'target:probe:eth6'), { seen: sent.length, sent: fitting.length, too_big: sent.length - fitting.length }, `${what}: what is too long is counted, and not sent to be dropped`)
    for (const { name, link, id } of matches) {
      // Nobody looks for ports behind three tags.
      const known = sent.filter(({ way: { beside, inside } }) => inside.length < 3 && (link === 'RAW' ? beside : [...beside, ...inside])[0]?.[1] === id).length
      t.equal(statsOf(device, name).matched ?? 0, known, `${what}: vlan ${id}, ${link}`)
      device.deleteHook(name)
    }
    hook.close()
    capture.close()
    target.close()
  }

  const protocolOf = (tag: Tag) => (tag[0] === AD ? '802.1ad' : '802.1Q')
  const addVlans = (link: string) => batch(netns, 'ip', [...VLANS.map(({ name, tag }) => `link add link ${link} name ${name} type vlan proto ${protocolOf(tag)} id ${tag[1]}`), ...VLANS.map(({ name }) => `link set ${name} up`)])
  const removeVlans = () => batch(netns, 'ip', VLANS.map(({ name }) => `link del ${name}`))

  addVlans('eth1')
  await pass('egress', { out: 'eth1' }, sentBy(box, 'eth1'), macOf(h2), atH2, 'egress')
  removeVlans()
  addVlans('br0')
  const [toB2, toBox] = [macOf(b2), macOf(box, 'br0')]
  await pass('bridge-local-out', { out: 'eth4' }, sentBy(box, 'br0'), toB2, atB2, 'bridge-local-out')
  await pass('bridge-local-in', {}, receivedFrom(b1), toBox, atBox, 'bridge-local-in')

  batch(netns, 'ip', ['link set br0 type bridge vlan_filtering 1 vlan_protocol 802.1ad'])
  batch(netns, 'bridge', ['vlan add vid 5 dev eth3', 'vlan add vid 5 dev eth4', 'vlan add vid 5 dev br0 self'])
  await pass('bridge-local-out', { out: 'eth4' }, onServiceBridge(sentBy(box, 'br0')), toB2, atB2, 'bridge-local-out of a service bridge')
  await pass('bridge-local-in', {}, onServiceBridge(receivedFrom(b1)), toBox, atBox, 'bridge-local-in of a service bridge')
  await pass('bridge-forward', {}, onServiceBridge(receivedFrom(b1)), toB2, atB2, 'bridge-forward of a service bridge')
  for (const tape of tapes) await tape.close()
})
