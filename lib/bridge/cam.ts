// SPDX-License-Identifier: MIT
// The CAM table of a bridge: what the kernel calls its forwarding database (net/bridge/br_fdb.c).

import { inspect } from 'node:util'
import { Errno } from '../errno.js'
import { invalidArgument, NfkitError } from '../errors.js'
import type { Watch } from '../events.js'
import * as Link from '../net/link.js'
import { rtm, withRoute } from '../netlink/route.js'
import type { NetlinkSocket, Request } from '../netlink/socket.js'
import { checkInteger, checkInterfaceName } from '../wire/attributes.js'
import {
  type CamEntry, type CamState, decodeFdb, encodeFdb, type FdbFilter, type FdbRequest, fdbShape, NTF, NUD,
} from '../wire/fdb.js'
import { parseIp } from '../wire/ip.js'
import { isMulticastMac, parseMac } from '../wire/mac.js'
import { NLM_F_BULK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../wire/netlink.js'
import { type CamOwner, PortNames } from './cam-names.js'
import { scanCam } from './cam-scan.js'
import { type CamChange, type CamWatchOptions, watchCam } from './cam-watch.js'

/** Which entries are meant. What is left out matches all. */
export interface CamFilter {
  /** Port by name; the bridge's own name means the addresses of the bridge itself. Filtered in the kernel. */
  port?: string | undefined
  /** VLAN 1 to 4094, or null for entries without one. */
  vlan?: number | null | undefined
  /** One state or several; {@link CamState}. */
  state?: CamState | readonly CamState[] | undefined
  /** The bridge's table, the devices' own lists (`self`), or both; the bridge's table unless told. */
  via?: 'master' | 'self' | 'any' | undefined
}

/** An entry to add or replace. */
export interface CamSpec {
  mac: string
  /** Port by name; the bridge's own name for an address of the bridge itself (`permanent` only). */
  port: string
  /**
   * VLAN 1 to 4094. Without one, a kernel with CONFIG_BRIDGE_VLAN_FILTERING adds the entry to every VLAN of the port as well,
   * also while the bridge does not filter (br_fdb_add, net/bridge/br_fdb.c): ports have VLAN 1 unless told otherwise.
   */
  vlan?: number | null | undefined
  /**
   * `static` (default): does not age, frames for it leave by the port. `permanent` (default for `self`, whose lists know
   * nothing else): an address of this box. `dynamic`: as if learned now, ages.
   */
  state?: 'static' | 'permanent' | 'dynamic' | undefined
  /** Keep it on this port whatever is learned (Linux 4.20). */
  sticky?: boolean | undefined
  /** Belongs to a control plane: the bridge does not age it. */
  externLearned?: boolean | undefined
  /** `self`: the device's own list or a tunnel's table instead of the bridge's. */
  via?: 'master' | 'self' | undefined
  /** Tunnel destination, for `self` entries of VXLAN devices. */
  remote?: { address?: string; port?: number; vni?: number; link?: string } | undefined
}

/** Names one entry. */
export interface CamKey {
  mac: string
  vlan?: number | null | undefined
  /** Looked up when left out. */
  port?: string | undefined
  via?: 'master' | 'self' | undefined
}

/** Which entries a flush removes; {@link Cam.flush}. */
export interface CamFlushFilter {
  port?: string | undefined
  /** VLAN 1 to 4094. */
  vlan?: number | undefined
  /** `learned` (default) removes what was learned, `static` what was set by hand, `all` both; local addresses stay. */
  state?: 'learned' | 'static' | 'all' | undefined
}

export interface CamScanOptions extends CamFilter {
  signal?: AbortSignal | undefined
}

/** The CAM table of one bridge, as `bridge.cam`. */
export class Cam {
  readonly #bridge: CamOwner

  constructor(bridge: CamOwner) {
    this.#bridge = bridge
  }

  /**
   * Reads the table. The port is filtered in the kernel, the rest here (the kernel refuses other filters, rtnl_fdb_dump).
   * A large table takes time in the kernel (0.4 s at 100,000 entries): {@link scan} does that off the main thread.
   * No privilege is needed.
   * @throws NfkitError ENODEV when the bridge or the port is gone
   */
  entries(filter: CamFilter = {}): CamEntry[] {
    const wanted = this.#wanted(filter)
    return withRoute(this.#bridge.netns, (socket) => {
      const portIndex = this.#portIndex(socket, filter.port)
      const entries = socket.dump<CamEntry>(this.#dump(portIndex ?? 0), (input, msg, into) => {
        const entry = decodeFdb(input, msg, wanted)
        // A port's dump answers for the port, the bridge's also for local addresses without a port.
        if (entry !== undefined && (portIndex === undefined || entry.portIndex === portIndex)) into.push(entry)
      })
      new PortNames(socket, this.#bridge).fill(entries)
      return entries
    })
  }

  /**
   * Reads the table in batches: the kernel's part and the receiving happen off the main thread, each batch is decoded when
   * it is asked for. Entries that change meanwhile may be missing or appear twice, as in any dump of this table.
   */
  scan(options: CamScanOptions = {}): Watch<CamEntry[]> {
    const wanted = this.#wanted(options)
    const portIndex = withRoute(this.#bridge.netns, (socket) => this.#portIndex(socket, options.port))
    return scanCam(this.#bridge, this.#dump(portIndex ?? 0), wanted, portIndex, options.signal)
  }

  /**
   * The entry of one address in the bridge's table, or undefined. With `vlan` the entry of that VLAN, without it the one
   * that has no VLAN (the kernel compares exactly); {@link lookupAll} finds it in any. Linux 5.0.
   */
  lookup(mac: string, options: { vlan?: number | null | undefined } = {}): CamEntry | undefined {
    const request: FdbRequest = { portIndex: 0, flags: NTF.master, mac: parseMac(mac), master: this.#bridge.index, ...vlanOf(options.vlan) }
    return withRoute(this.#bridge.netns, (socket) => {
      try {
        const entry = socket.get(rtm('RTM_GETNEIGH', { write: (w) => encodeFdb(w, request), doing: `looking up ${mac} in ${this.#bridge.name}`, shape: fdbShape }),
          (input, msg) => decodeFdb(input, msg, { master: 0, via: 'any' }))
        if (entry !== undefined) new PortNames(socket, this.#bridge).fill([entry])
        return entry
      } catch (error) {
        if (error instanceof NfkitError && error.code === 'ENOENT') return undefined
        throw error
      }
    })
  }

  /** The entries of one address in every VLAN. Reads the whole table. */
  lookupAll(mac: string): CamEntry[] {
    const text = Array.from(parseMac(mac), (byte) => byte.toString(16).padStart(2, '0')).join(':')
    return this.entries().filter((entry) => entry.mac === text)
  }

  /**
   * Adds entries; one call is one system call for about a hundred. Needs CAP_NET_ADMIN.
   * @throws NfkitError EEXIST when one is there already; none of them is added then
   */
  add(spec: CamSpec | readonly CamSpec[]): void {
    this.#write(asArray(spec), 'adding', NLM_F_CREATE | NLM_F_EXCL)
  }

  /** Adds entries or changes them where they exist. All or none, as far as nobody else writes at the same time. */
  replace(spec: CamSpec | readonly CamSpec[]): void {
    this.#write(asArray(spec), 'replacing', NLM_F_CREATE | NLM_F_REPLACE)
  }

  /**
   * Deletes entries of any state. All or none, as far as nobody else writes at the same time.
   * @throws NfkitError ENOENT when one does not exist
   */
  delete(key: CamKey | readonly CamKey[]): void {
    const keys = asArray(key)
    // Everything is checked before the first system call.
    const parsed = keys.map((k) => ({ ...k, bytes: parseMac(k.mac), ...vlanOf(k.vlan) }))
    parsed.forEach(({ port }) => { if (port !== undefined) checkInterfaceName(port, 'port') })
    if (keys.length === 0) return
    withRoute(this.#bridge.netns, (socket) => {
      const indexes = new PortIndexes(socket)
      const before = keys.length > 1 || keys.some((k) => k.port === undefined) ? this.#snapshot() : undefined
      const requests = parsed.map((k, i): Request => {
        const old = before?.get(keyOf(k.mac, k.vlan ?? null, k.via))
        if (k.port === undefined && old === undefined) throw NfkitError.fromErrno(Errno.ENOENT, 'RTM_DELNEIGH', `deleting ${k.mac} from ${this.#bridge.name}`)
        const portIndex = k.port === undefined ? old!.portIndex : indexes.of(k.port)
        const request: FdbRequest = { portIndex, flags: this.#via(portIndex, k.via), mac: k.bytes, ...vlanOf(k.vlan) }
        return rtm('RTM_DELNEIGH', { write: (w) => encodeFdb(w, request), doing: `deleting ${keys[i]!.mac} from ${this.#bridge.name}`, shape: fdbShape })
      })
      this.#apply(socket, requests, (i) => before?.get(keyOf(parsed[i]!.mac, parsed[i]!.vlan ?? null, parsed[i]!.via)))
    })
  }

  /**
   * Removes many entries at once, in the kernel (NLM_F_BULK, Linux 5.19); on older kernels by reading and deleting.
   * Addresses of the box itself stay. Needs CAP_NET_ADMIN.
   */
  flush(filter: CamFlushFilter = {}): void {
    const { port, vlan, state = 'learned' } = filter
    if (!['learned', 'static', 'all'].includes(state)) throw invalidArgument('state', 'learned, static or all', state)
    if (port !== undefined) checkInterfaceName(port, 'port')
    const vlanAttribute = vlanOf(vlan)
    withRoute(this.#bridge.netns, (socket) => {
      const index = this.#portIndex(socket, port) ?? this.#bridge.index
      const request: FdbRequest = {
        portIndex: index,
        flags: index === this.#bridge.index ? NTF.self : NTF.master,
        ...vlanAttribute,
        state: state === 'static' ? NUD.noArp : 0,
        // br_fdb_delete_bulk compares the permanent and the static bit only.
        stateMask: state === 'all' ? NUD.permanent : NUD.permanent | NUD.noArp,
      }
      try {
        socket.request(rtm('RTM_DELNEIGH', {
          flags: NLM_F_BULK, write: (w) => encodeFdb(w, request), doing: `flushing the CAM table of ${this.#bridge.name}`, shape: fdbShape,
        }))
      } catch (error) {
        if (!(error instanceof NfkitError) || !['EINVAL', 'EOPNOTSUPP'].includes(error.code)) throw error
        this.flushByDeleting(filter)
      }
    })
  }

  /** {@link flush} for kernels before 5.19: reads what matches and deletes it, one by one but in few system calls. */
  flushByDeleting({ port, vlan, state = 'learned' }: CamFlushFilter = {}): void {
    const states: CamState[] = state === 'static' ? ['static'] : state === 'all' ? ['learned', 'stale', 'static'] : ['learned', 'stale']
    const entries = this.entries({ port, ...(vlan === undefined ? {} : { vlan }), state: states })
    withRoute(this.#bridge.netns, (socket) => {
      const results = socket.batch(entries.map((entry) => this.#deletion(entry)))
      // An entry may have aged between the two steps.
      const failed = results.find((error) => error !== undefined && error.code !== 'ENOENT')
      if (failed !== undefined) throw failed
    })
  }

  /**
   * Follows the table: what is learned, moves to another port, ages, is removed. Subscribed when called. Ends when the
   * bridge is deleted.
   */
  watch(options: CamWatchOptions = {}): Watch<CamChange> {
    this.#wanted({ via: options.via })
    return watchCam(this.#bridge, options, () => this.entries({ via: options.via }))
  }

  [inspect.custom](): string {
    return `Cam { bridge: '${this.#bridge.name}' }`
  }

  #dump(portIndex: number): Request {
    const request: FdbRequest = { portIndex, flags: 0, master: this.#bridge.index }
    return rtm('RTM_GETNEIGH', { write: (w) => encodeFdb(w, request), doing: `reading the CAM table of ${this.#bridge.name}`, shape: fdbShape })
  }

  #wanted({ port, vlan, state, via = 'master' }: CamFilter): FdbFilter {
    if (port !== undefined) checkInterfaceName(port, 'port')
    if (!['master', 'self', 'any'].includes(via)) throw invalidArgument('via', 'master, self or any', via)
    if (vlan !== undefined) vlanOf(vlan)
    const states = state === undefined ? undefined : new Set(typeof state === 'string' ? [state] : state)
    for (const one of states ?? []) {
      if (!['learned', 'stale', 'static', 'permanent'].includes(one)) throw invalidArgument('state', 'learned, stale, static or permanent', one)
    }
    return { master: this.#bridge.index, via, vlan, states }
  }

  #portIndex(socket: NetlinkSocket, port: string | undefined): number | undefined {
    return port === undefined ? undefined : Link.resolveIndex(socket, port)
  }

  #via(portIndex: number, via: 'master' | 'self' | undefined): number {
    return via === 'self' || portIndex === this.#bridge.index ? NTF.self : NTF.master
  }

  #write(specs: readonly CamSpec[], verb: string, flags: number): void {
    const checked = specs.map(checkSpec)
    if (specs.length === 0) return
    withRoute(this.#bridge.netns, (socket) => {
      const indexes = new PortIndexes(socket)
      const before = specs.length > 1 && (flags & NLM_F_REPLACE) !== 0 ? this.#snapshot() : undefined
      const full = checked.map((spec): FdbRequest => {
        const portIndex = indexes.of(spec.port)
        const link = spec.remoteLink === undefined ? {} : { link: indexes.of(spec.remoteLink) }
        const remote = spec.request.remote === undefined ? {} : { remote: { ...spec.request.remote, ...link } }
        return { ...spec.request, ...remote, portIndex, flags: spec.request.flags | this.#via(portIndex, spec.via) }
      })
      const requests = full.map((request, i) => rtm('RTM_NEWNEIGH', {
        flags, write: (w) => encodeFdb(w, request), doing: `${verb} ${specs[i]!.mac} on ${specs[i]!.port}`, shape: fdbShape,
        ...(request.state === NUD.reachable ? { hints: DYNAMIC_HINTS } : {}),
      }))
      this.#apply(socket, requests, (i) => before?.get(keyOf(specs[i]!.mac, specs[i]!.vlan ?? null, specs[i]!.via)), (i) => full[i]!)
    })
  }

  /** Sends requests; when one fails, undoes those that were done and throws its error. */
  #apply(socket: NetlinkSocket, requests: Request[], old: (i: number) => CamEntry | undefined, added?: (i: number) => FdbRequest): void {
    if (requests.length === 1) return socket.request(requests[0]!)
    const results = socket.batch(requests)
    const failed = results.find((error) => error !== undefined)
    if (failed === undefined) return
    const undo = results.flatMap((error, i): Request[] => {
      if (error !== undefined) return []
      const entry = old(i)
      if (entry !== undefined) return [this.#restoration(entry)]
      return added === undefined ? [] : [rtm('RTM_DELNEIGH', { write: (w) => encodeFdb(w, added(i)), doing: 'undoing', shape: fdbShape })]
    })
    const left = socket.batch(undo).filter((error) => error !== undefined)
    if (left.length > 0) throw new NfkitError('NFKIT_PARTIAL', `${failed.message}; ${left.length} of ${undo.length} changes could not be undone`, { cause: failed })
    throw failed
  }

  #restoration(entry: CamEntry): Request {
    const flags = (entry.flags.includes('sticky') ? NTF.sticky : 0) | (entry.flags.includes('extern-learned') ? NTF.externLearned : 0)
    const state = entry.state === 'permanent' ? NUD.permanent : entry.state === 'static' ? NUD.noArp : NUD.reachable
    const request: FdbRequest = {
      portIndex: entry.portIndex, state, flags: flags | this.#via(entry.portIndex, entry.via), mac: parseMac(entry.mac), ...vlanOf(entry.vlan),
    }
    return rtm('RTM_NEWNEIGH', { flags: NLM_F_CREATE | NLM_F_REPLACE, write: (w) => encodeFdb(w, request), doing: `restoring ${entry.mac}`, shape: fdbShape })
  }

  #deletion(entry: CamEntry): Request {
    const request: FdbRequest = { portIndex: entry.portIndex, flags: this.#via(entry.portIndex, entry.via), mac: parseMac(entry.mac), ...vlanOf(entry.vlan) }
    return rtm('RTM_DELNEIGH', { write: (w) => encodeFdb(w, request), doing: `deleting ${entry.mac}`, shape: fdbShape })
  }

  #snapshot(): Map<string, CamEntry> {
    return new Map(this.entries({ via: 'any' }).map((entry) => [keyOf(entry.mac, entry.vlan, entry.via), entry]))
  }
}

/** Looks port names up once for each call. */
class PortIndexes {
  readonly #socket: NetlinkSocket
  readonly #known = new Map<string, number>()

  constructor(socket: NetlinkSocket) { this.#socket = socket }

  of(port: string): number {
    let index = this.#known.get(port)
    if (index === undefined) this.#known.set(port, (index = Link.resolveIndex(this.#socket, port)))
    return index
  }
}

interface CheckedSpec {
  readonly port: string
  readonly via: 'master' | 'self' | undefined
  readonly remoteLink: string | undefined
  readonly request: Omit<FdbRequest, 'portIndex'>
}

/** br_fdb.c answers EPERM here, which is not about privilege alone. */
const DYNAMIC_HINTS = { EPERM: 'a dynamic entry needs a port that is learning or forwarding, and CAP_NET_ADMIN' }

const STATE_BITS = { static: NUD.noArp, permanent: NUD.permanent, dynamic: NUD.reachable }

function checkSpec(spec: CamSpec): CheckedSpec {
  if (typeof spec !== 'object' || spec === null) throw invalidArgument('entry', 'an object with mac and port', spec)
  const { port, via, state = via === 'self' ? 'permanent' : 'static', remote } = spec
  checkInterfaceName(port, 'port')
  const mac = parseMac(spec.mac)
  if (via !== 'self' && isMulticastMac(mac)) throw invalidArgument('mac', 'a unicast address (groups are in bridge.mdb)', spec.mac)
  if (!Object.hasOwn(STATE_BITS, state)) throw invalidArgument('state', 'static, permanent or dynamic', state)
  if (via !== undefined && via !== 'master' && via !== 'self') throw invalidArgument('via', 'master or self', via)
  const flags = (spec.sticky === true ? NTF.sticky : 0) | (spec.externLearned === true ? NTF.externLearned : 0)
  if (spec.sticky === true && state === 'permanent') throw invalidArgument('sticky', 'false for a permanent entry (br_fdb.c)', true)
  let remoteRequest: FdbRequest['remote']
  if (remote !== undefined) {
    if (remote.port !== undefined) checkInteger(remote.port, 1, 65535, 'remote.port')
    if (remote.vni !== undefined) checkInteger(remote.vni, 0, 0xffffff, 'remote.vni')
    if (remote.link !== undefined) checkInterfaceName(remote.link, 'remote.link')
    const { address, port: udpPort, vni } = remote
    remoteRequest = {
      ...(address === undefined ? {} : { address: parseIp(address, 'remote.address') }),
      ...(udpPort === undefined ? {} : { port: udpPort }), ...(vni === undefined ? {} : { vni }),
    }
  }
  return {
    port, via, remoteLink: remote?.link,
    request: { mac, flags, state: STATE_BITS[state], ...vlanOf(spec.vlan), ...(remoteRequest === undefined ? {} : { remote: remoteRequest }) },
  }
}

/** The VLAN part of a request. @throws RangeError outside 1 to 4094 */
function vlanOf(vlan: number | null | undefined): { vlan?: number } {
  if (vlan === undefined || vlan === null) return {}
  checkInteger(vlan, 1, 4094, 'vlan')
  return { vlan }
}

function keyOf(mac: string, vlan: number | null, via: 'master' | 'self' = 'master'): string {
  return `${mac.toLowerCase().replaceAll('-', ':')}/${vlan ?? ''}/${via}`
}

function asArray<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? value : [value as T]
}
