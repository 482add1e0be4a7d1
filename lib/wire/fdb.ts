// SPDX-License-Identifier: MIT
// Entries of a bridge's forwarding database: struct ndmsg and NDA_* with family AF_BRIDGE
// (include/uapi/linux/neighbour.h, net/bridge/br_fdb.c, net/core/rtnetlink.c).

import { attributeTable, be16, field, ip, mac, raw, struct, u16, u32, u8, type WithUnknown } from './attributes.js'
import { align4, type Input, LITTLE_ENDIAN, type Writer } from './bytes.js'
import { formatIp } from './ip.js'
import { formatLinkAddress, formatMac } from './mac.js'
import { attribute, attributeBytes, attributeU32, malformed, type NetlinkMessage } from './netlink.js'
import { AF_BRIDGE } from './rtnetlink.js'

export const FDB_HEADER = 12

/** NUD_*: how the kernel tells the kinds of entry apart (fdb_to_nud, net/bridge/br_fdb.c). */
export const NUD = { reachable: 0x02, stale: 0x04, noArp: 0x40, permanent: 0x80 } as const

/** NTF_* in ndm_flags. */
export const NTF = { self: 0x02, master: 0x04, externLearned: 0x10, offloaded: 0x20, sticky: 0x40 } as const

/** NTF_EXT_LOCKED of NDA_FLAGS_EXT (Linux 6.2). */
const NTF_EXT_LOCKED = 2

const NDA = { dst: 1, lladdr: 2, cacheInfo: 3, vlan: 5, port: 6, vni: 7, ifindex: 8, master: 9, sourceVni: 11, nexthopId: 13, flagsExt: 15, stateMask: 16, flagsMask: 17 } as const

/**
 * `learned`: seen as a source address, ages. `stale`: older than the ageing time, about to be collected. `static`: set
 * by hand, does not age, frames go out of the port. `permanent`: an address of the box itself, frames go up the stack.
 */
export type CamState = 'learned' | 'stale' | 'static' | 'permanent'

/** Where a tunnel device sends frames for an address (entries of VXLAN devices, `self` ones). */
export interface CamRemote {
  /** IP address of the remote tunnel end. */
  address: string | null
  /** UDP port, null for the device's own. */
  port: number | null
  /** VXLAN network identifier, null for the device's own. */
  vni: number | null
  /** Index of the outgoing link, null when routing decides. */
  link: number | null
}

/**
 * `sticky`: never moves to another port by learning (NTF_STICKY). `extern-learned`: added by a control plane, not aged by the
 * bridge (NTF_EXT_LEARNED). `offloaded`: known to the switch hardware too. `locked`: learned on a locked port, forwarded
 * only once user space agrees (NTF_EXT_LOCKED, Linux 6.2).
 */
export type CamFlag = 'sticky' | 'extern-learned' | 'offloaded' | 'locked'

/** One entry of the CAM table. */
export interface CamEntry {
  mac: string
  /** Name of the port, or of the bridge for an address of the bridge itself. */
  port: string
  portIndex: number
  /** 802.1Q VLAN 1 to 4094; null for an entry without one, all there are without VLAN filtering. */
  vlan: number | null
  state: CamState
  /** The address is the box's own: an address of a port or of the bridge (BR_FDB_LOCAL). */
  isLocal: boolean
  /** `master`: the bridge's table. `self`: the device's own filter list, or a tunnel's forwarding table. */
  via: 'master' | 'self'
  /** Seconds since the address was last seen as a source; null where the kernel does not say (`self`). Resolution 0.01 s. */
  age: number | null
  /** Seconds since a frame was last sent to it; null as above. */
  used: number | null
  /** Usually none; the arrays are shared and frozen. */
  flags: readonly CamFlag[]
  /** Tunnel destination; only entries of tunnels have one. */
  remote?: CamRemote
}

const STATES: CamState[] = []
for (let nud = 0; nud < 256; nud++) {
  STATES.push((nud & NUD.permanent) !== 0 ? 'permanent' : (nud & NUD.noArp) !== 0 ? 'static' : (nud & NUD.stale) !== 0 ? 'stale' : 'learned')
}

/** Every combination of flags, by NTF bits over 4 (extern-learned, offloaded, sticky) and 8 for locked. */
const FLAGS: (readonly CamFlag[])[] = []
for (let bits = 0; bits < 16; bits++) {
  const names: CamFlag[] = []
  if ((bits & 4) !== 0) names.push('sticky')
  if ((bits & 1) !== 0) names.push('extern-learned')
  if ((bits & 2) !== 0) names.push('offloaded')
  if ((bits & 8) !== 0) names.push('locked')
  FLAGS.push(Object.freeze(names))
}

/** Whether a message is about a forwarding database at all: the neighbour group also carries ARP and ND. */
export function isFdb({ bytes }: Input, msg: NetlinkMessage): boolean {
  return msg.end - msg.start >= FDB_HEADER && bytes[msg.start] === AF_BRIDGE
}

/** Which entries a reader wants; what the kernel cannot filter is dropped here before an object is made. */
export interface FdbFilter {
  /** Index of the bridge for `master` entries; 0 takes any. */
  readonly master: number
  readonly via: 'master' | 'self' | 'any'
  readonly vlan?: number | null | undefined
  readonly states?: ReadonlySet<CamState> | undefined
}

/**
 * Decodes an entry, or answers undefined for one that the filter drops. The port's name is left empty: only its index is
 * in the message. A hot path, so it reads without the tables; {@link fdbAttributes} is the same layout for tools.
 * @throws NfkitError EBADMSG
 */
export function decodeFdb(input: Input, msg: NetlinkMessage, filter: FdbFilter): CamEntry | undefined {
  const { view, bytes } = input
  const { start, end } = msg
  if (start + FDB_HEADER > end) throw malformed('an FDB message shorter than its header')
  const state = view.getUint16(start + 8, LITTLE_ENDIAN)
  const flags = bytes[start + 10]!
  const via = (flags & NTF.self) === 0 ? 'master' : 'self'
  if (filter.via !== 'any' && filter.via !== via) return undefined
  let address = 0
  let addressLength = 0
  let vlan: number | null = null
  let master = 0
  let age: number | null = null
  let used: number | null = null
  let locked = 0
  let remote: CamRemote | undefined
  for (let at = start + FDB_HEADER; at + 4 <= end;) {
    const length = view.getUint16(at, LITTLE_ENDIAN)
    if (length < 4 || at + length > end) throw malformed(`an attribute of ${length} bytes in ${end - at}`)
    const from = at + 4
    switch (view.getUint16(at + 2, LITTLE_ENDIAN) & 0x3fff) {
      case NDA.lladdr: address = from; addressLength = length - 4; break
      case NDA.vlan: if (length >= 6) vlan = view.getUint16(from, LITTLE_ENDIAN); break
      case NDA.master: if (length >= 8) master = view.getUint32(from, LITTLE_ENDIAN); break
      case NDA.cacheInfo:
        if (length >= 20) {
          used = view.getUint32(from + 4, LITTLE_ENDIAN) / 100
          age = view.getUint32(from + 8, LITTLE_ENDIAN) / 100
        }
        break
      case NDA.flagsExt: if (length >= 8) locked = (view.getUint32(from, LITTLE_ENDIAN) & NTF_EXT_LOCKED) << 2; break
      case NDA.dst: case NDA.port: case NDA.vni: case NDA.ifindex: remote = readRemote(remote, input, at, length); break
    }
    at += align4(length)
  }
  if (addressLength === 0) throw malformed('an FDB message without an address')
  if (filter.master !== 0 && via === 'master' && master !== filter.master) return undefined
  if (filter.vlan !== undefined && filter.vlan !== vlan) return undefined
  const name = STATES[state & 0xff]!
  if (filter.states !== undefined && !filter.states.has(name)) return undefined
  const entry: CamEntry = {
    mac: addressLength === 6 ? formatMac(bytes, address) : formatLinkAddress(bytes.subarray(address, address + addressLength)),
    port: '',
    portIndex: view.getInt32(start + 4, LITTLE_ENDIAN),
    vlan,
    state: name,
    isLocal: name === 'permanent' && via === 'master',
    via,
    age,
    used,
    flags: FLAGS[((flags >> 4) & 7) | locked]!,
  }
  if (remote !== undefined) entry.remote = remote
  return entry
}

function readRemote(remote: CamRemote | undefined, { view, bytes }: Input, at: number, length: number): CamRemote {
  const value = remote ?? { address: null, port: null, vni: null, link: null }
  const type = view.getUint16(at + 2, LITTLE_ENDIAN) & 0x3fff
  if (type === NDA.dst && (length === 8 || length === 20)) value.address = formatIp(bytes.subarray(at + 4, at + length))
  else if (type === NDA.port && length >= 6) value.port = view.getUint16(at + 4)
  else if (type === NDA.vni && length >= 8) value.vni = view.getUint32(at + 4, LITTLE_ENDIAN)
  else if (type === NDA.ifindex && length >= 8) value.link = view.getUint32(at + 4, LITTLE_ENDIAN)
  return value
}

/** An entry as a request names it; everything is checked and parsed. */
export interface FdbRequest {
  portIndex: number
  /** NUD_* bits. */
  state?: number
  /** NTF_* bits. */
  flags: number
  mac?: Uint8Array
  vlan?: number
  /** Bridge index, for look-ups. */
  master?: number
  /** Bulk deletion: which NUD_* and NTF_* bits must be as in `state` and `flags`. */
  stateMask?: number
  flagsMask?: number
  remote?: { address?: Uint8Array; port?: number; vni?: number; link?: number }
}

export function encodeFdb(w: Writer, request: FdbRequest): void {
  const at = w.reserve(FDB_HEADER)
  w.bytes[at] = AF_BRIDGE
  w.view.setInt32(at + 4, request.portIndex, LITTLE_ENDIAN)
  w.view.setUint16(at + 8, request.state ?? 0, LITTLE_ENDIAN)
  w.bytes[at + 10] = request.flags
  const { mac: address, vlan, master, stateMask, flagsMask, remote } = request
  if (address !== undefined) attributeBytes(w, NDA.lladdr, address)
  if (vlan !== undefined) attribute(w, NDA.vlan, () => w.u16(vlan))
  if (master !== undefined) attributeU32(w, NDA.master, master)
  if (stateMask !== undefined) attribute(w, NDA.stateMask, () => w.u16(stateMask))
  if (flagsMask !== undefined) attribute(w, NDA.flagsMask, () => w.u8(flagsMask))
  if (remote?.address !== undefined) attributeBytes(w, NDA.dst, remote.address)
  const { port, vni, link } = remote ?? {}
  if (port !== undefined) attribute(w, NDA.port, () => w.be16(port))
  if (vni !== undefined) attributeU32(w, NDA.vni, vni)
  if (link !== undefined) attributeU32(w, NDA.ifindex, link)
}

/** NDA_* by name: for naming what the kernel refused. */
export interface FdbAttributes {
  remoteAddress: string
  mac: string
  cacheInfo: { used: number; updated: number }
  vlan: number
  remotePort: number
  vni: number
  link: number
  master: number
  sourceVni: number
  nexthopId: number
  extension: Uint8Array
  extendedFlags: number
  stateMask: number
  flagsMask: number
}

export const fdbAttributes = attributeTable<FdbAttributes>({
  remoteAddress: field(NDA.dst, ip),
  mac: field(NDA.lladdr, mac),
  cacheInfo: field(NDA.cacheInfo, struct(16, (view, at) => ({ used: view.getUint32(at + 4, LITTLE_ENDIAN) / 100, updated: view.getUint32(at + 8, LITTLE_ENDIAN) / 100 }))),
  vlan: field(NDA.vlan, u16()),
  remotePort: field(NDA.port, be16()),
  vni: field(NDA.vni, u32()),
  link: field(NDA.ifindex, u32()),
  master: field(NDA.master, u32()),
  sourceVni: field(NDA.sourceVni, u32()),
  nexthopId: field(NDA.nexthopId, u32()),
  extension: field(14, raw),
  extendedFlags: field(NDA.flagsExt, u32()),
  stateMask: field(NDA.stateMask, u16()),
  flagsMask: field(NDA.flagsMask, u8()),
})

/** For naming refused attributes. */
export const fdbShape = { header: FDB_HEADER, table: fdbAttributes }

/** Decodes the attributes that {@link CamEntry} leaves out. */
export function decodeFdbAttributes(input: Input, msg: NetlinkMessage): Partial<FdbAttributes> & WithUnknown {
  return fdbAttributes.decode(input, msg.start + FDB_HEADER, msg.end)
}
