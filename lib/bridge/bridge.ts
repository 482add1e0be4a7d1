// SPDX-License-Identifier: MIT
// Bridges: create, open, list, delete, set, read.

import { inspect } from 'node:util'
import { invalidArgument, NfkitError, outOfRange } from '../errors.js'
import type { Watch } from '../events.js'
import * as Address from '../net/address.js'
import type { AddressInfo, AddressSpec } from '../net/address.js'
import * as Link from '../net/link.js'
import { rtm, withRoute } from '../netlink/route.js'
import { Netns, type NetnsLike } from '../netns.js'
import { checkInteger, checkInterfaceName } from '../wire/attributes.js'
import { encodeLink, type LinkRequest, linkShape } from '../wire/link.js'
import { isMulticastMac, parseMac } from '../wire/mac.js'
import type { BridgeAttributes, BridgeSwitches } from '../wire/link-kinds/bridge.js'
import { addPort, type AddedPort, type AddPortOptions, removePort, type RemovePortOptions } from './add-port.js'
import { Cam } from './cam.js'
import { Mdb } from './mdb.js'
import { notTakenBack } from './journal.js'
import { noBridge, noVlanFiltering } from './missing.js'
import { BridgeNetfilter, requireBridgeNetfilter } from './netfilter.js'
import { type BridgePort, checkPortSettings, listPorts, portLink, type PortSettings, setPort } from './ports.js'
import { attributesOf, type BridgeSettings, checkForwardDelay, checkSupported } from './settings.js'
import { type BridgeStatus, readStatus, statusOf } from './status.js'
import { Vlans } from './vlan.js'
import { type BridgeChange, type BridgeWatchOptions, watchBridge } from './watch.js'

/** What can be changed on a bridge. */
export interface BridgeChanges extends BridgeSettings {
  /** Administratively up. */
  up?: boolean | undefined
  /**
   * The bridge's MAC address, also the second half of its id. Unless one is set the kernel takes the lowest one of the
   * ports; once one is set it stays.
   */
  mac?: string | undefined
  /** Bytes, 68 to 65535. Unless it is set the kernel takes the smallest one of the ports; once it is set it stays. */
  mtu?: number | undefined
}

/** What a new bridge is to be. */
export interface BridgeOptions extends BridgeChanges {
  /** The namespace; this process's own unless told. */
  netns?: NetnsLike | undefined
  /** The bridge is deleted when this handle is disposed of (`using`). Default false. */
  temporary?: boolean | undefined
}

/**
 * A bridge of the kernel. The handle holds no bridge: it goes on after {@link close} and after the process, until
 * {@link delete}; only one created with `temporary` ends with `using`.
 *
 * Changes need CAP_NET_ADMIN in the namespace (NfkitError EPERM otherwise), reading needs no privilege. Every call is
 * synchronous and takes microseconds, but for deleting a bridge: 40 ms.
 */
export class Bridge {
  readonly #netns: NetnsLike | undefined
  readonly #ownNetns: Netns | undefined
  readonly #temporary: boolean
  /** The name as of opening; {@link status} has the current one. */
  readonly name: string
  /** The interface index: what the handle's requests use. */
  readonly index: number
  /** The CAM table, what the kernel calls forwarding database. */
  readonly cam: Cam
  /** VLANs of the bridge and its ports. */
  readonly vlans: Vlans
  /** The multicast database. */
  readonly mdb: Mdb
  /** Whether what the bridge forwards passes iptables. */
  readonly netfilter: BridgeNetfilter

  private constructor(link: Link.LinkInfo, netns: NetnsLike | undefined, ownNetns: Netns | undefined, temporary = false) {
    this.name = link.name
    this.index = link.index
    this.#netns = netns
    this.#ownNetns = ownNetns
    this.#temporary = temporary
    this.cam = new Cam(this.#ref)
    this.vlans = new Vlans(this.#ref)
    this.mdb = new Mdb(this.#ref)
    this.netfilter = new BridgeNetfilter(this.#ref, (netfilter) => this.set({ netfilter }))
  }

  /**
   * Creates a bridge, up unless told otherwise. It is complete or not there at all.
   * @throws TypeError, RangeError for a setting that no kernel takes, before anything is done
   * @throws NfkitError EEXIST when the name is taken, EPERM, NFKIT_NO_BRIDGE when the kernel has no bridges,
   * NFKIT_NO_VLAN_FILTERING, NFKIT_NO_IGMP_SNOOPING, NFKIT_BR_NETFILTER_MISSING or NFKIT_KERNEL_TOO_OLD for a setting that
   * this kernel does not know
   */
  static create(name: string, options: BridgeOptions = {}): Bridge {
    checkInterfaceName(name, 'name')
    const { netns, temporary = false, ...changes } = options
    if (typeof temporary !== 'boolean') throw invalidArgument('temporary', 'true or false', temporary)
    const { link, data } = split({ ...changes, up: changes.up ?? true })
    checkForwardDelay(data, 'off')
    return inNetns(netns, (where, own) => {
      checkNetfilter(data, where)
      let made: Link.LinkInfo
      try {
        made = Link.add({ kind: 'bridge', name, data, ...link }, { netns: where })
      } catch (error) {
        if (error instanceof NfkitError && error.code === 'EOPNOTSUPP') {
          throw data.vlanFiltering === undefined ? noBridge(error) : noVlanFiltering(error)
        }
        throw error
      }
      try {
        checkSupported(data, made.kindData as Partial<BridgeAttributes>)
      } catch (error) {
        Link.delete(made.index, { netns: where })
        throw error
      }
      return new Bridge(made, where, own, temporary)
    })
  }

  /**
   * Opens a bridge by name or index.
   * @throws NfkitError ENODEV when there is no such device, NFKIT_NOT_A_BRIDGE when it is another kind of device
   */
  static open(which: Link.LinkRef, options: Link.NetnsOption = {}): Bridge {
    return inNetns(options.netns, (where, own) => {
      const link = Link.get(which, { netns: where })
      statusOf(link)
      return new Bridge(link, where, own)
    })
  }

  /** Every bridge of the namespace. */
  static list(options: Link.NetnsOption = {}): BridgeStatus[] {
    return Link.list({ netns: options.netns, kind: 'bridge' }).map((link) => readStatus(link, options.netns))
  }

  /** Deletes a bridge by name or index, whatever ports it has: they stay, as devices of their own. Takes 40 ms. */
  static delete(which: Link.LinkRef, options: Link.NetnsOption = {}): void {
    const link = Link.get(which, options)
    statusOf(link)
    Link.delete(link.index, options)
  }

  /** What the bridge is set to and how it is. */
  status(): BridgeStatus {
    return readStatus(this.#link(), this.#netns)
  }

  /**
   * Changes what is given and nothing else. When the kernel refuses one of several changes, the others are taken back.
   * @throws as {@link create}
   */
  set(changes: BridgeChanges): void {
    const { link, data } = split(changes)
    const info = this.#link()
    const { maxAge, helloTime, forwardDelay } = readStatus(info, this.#netns).stp
    const before: Partial<BridgeAttributes> = { ...info.kindData, maxAge, helloTime, forwardDelay }
    checkForwardDelay(data, before.stpState ?? 'off')
    checkSupported({ ...data, ...(data.vlanFiltering === undefined ? {} : { vlanFiltering: false }) }, before)
    checkNetfilter(data, this.#netns)
    try {
      const { ageingTime, ...others } = differing(data, before)
      this.#write(others, `setting bridge ${info.name}`)
      // On its own, since what was there before cannot be known: during a topology change another time is in force.
      this.#write(ageingTime === undefined ? {} : { ageingTime }, `setting bridge ${info.name}`)
      // Last, since a MAC address that was set once cannot be made automatic again. Link.set takes its own changes back.
      if (Object.keys(link).length > 0) Link.set(this.index, link, { netns: this.#netns })
    } catch (error) {
      this.#restore(before, data, error)
      if (error instanceof NfkitError && error.code === 'EOPNOTSUPP' && data.vlanFiltering !== undefined) throw noVlanFiltering(error)
      throw error
    }
  }

  /** The ports in the order of their numbers. */
  ports(): BridgePort[] {
    return listPorts(this.#ref)
  }

  /**
   * Adds a port, brings it up and makes it promiscuous: what `brctl addif` and `ifconfig PORT 0.0.0.0 promisc up` do. Answers
   * what was changed. A step that fails takes the others back: the device is as it was then.
   * @throws NfkitError NFKIT_PORT_HAS_ADDRESSES when the device has addresses and `addresses` does not say what becomes of them
   * @throws NfkitError EBUSY when it has a master already, ENODEV, EINVAL for the loopback and what is no Ethernet device,
   * ELOOP for a bridge, NFKIT_ROUTE_NOT_MOVABLE for routes with a nexthop object
   */
  addPort(port: Link.LinkRef, options: AddPortOptions = {}): AddedPort {
    return addPort(this.#ref, port, options)
  }

  /**
   * Changes a port's settings. When the kernel refuses one of several, the others are taken back.
   * @throws NfkitError NFKIT_NOT_A_PORT, NFKIT_KERNEL_TOO_OLD for a setting that this kernel does not know; EBUSY for a state
   * while the kernel runs STP, ENETDOWN for a state of a port that is down or without carrier, NFKIT_STATE_NOT_KEPT
   */
  setPort(port: Link.LinkRef, settings: PortSettings): void {
    checkPortSettings(settings)
    withRoute(this.#netns, (socket) => setPort(this.#ref, socket, portLink(this.#ref, port), settings))
  }

  /**
   * Takes a port out of the bridge. The device stays up and promiscuous unless `restore` says what it was before.
   * @throws NfkitError NFKIT_NOT_A_PORT, ENODEV
   */
  removePort(port: Link.LinkRef, options: RemovePortOptions = {}): void {
    removePort(this.#ref, port, options)
  }

  /** The bridge's addresses. */
  addresses(): AddressInfo[] {
    return Address.list({ netns: this.#netns, link: this.index })
  }

  /** Gives the bridge an address, for example `192.168.0.1/24`. More is in `Address.add`. @throws NfkitError EEXIST */
  addAddress(address: string, options: Omit<AddressSpec, 'link' | 'address'> = {}): void {
    Address.add({ ...options, link: this.index, address }, { netns: this.#netns })
  }

  /** Takes an address from the bridge. @throws NfkitError EADDRNOTAVAIL when it has not got it */
  removeAddress(address: string): void {
    Address.delete({ link: this.index, address }, { netns: this.#netns })
  }

  /** Follows the bridge: its ports, their states, the spanning tree, settings. Subscribed when called; ends when it is deleted. */
  watch(options: BridgeWatchOptions = {}): Watch<BridgeChange> {
    return watchBridge(this.#ref, options)
  }

  /** Deletes the bridge; its ports stay, as devices of their own. Takes 40 ms. */
  delete(): void {
    Link.delete(this.index, { netns: this.#netns })
    this.close()
  }

  /** Lets go of what this handle holds. The bridge stays. Idempotent. */
  close(): void {
    this.#ownNetns?.close()
  }

  /** {@link close}, after deleting the bridge if it was created as `temporary`. */
  [Symbol.dispose](): void {
    try {
      if (this.#temporary && this.#ownNetns?.fd !== -1) Link.delete(this.index, { netns: this.#netns })
    } catch (error) {
      if (!(error instanceof NfkitError) || !['ENODEV', 'NFKIT_CLOSED'].includes(error.code)) throw error
    } finally {
      this.close()
    }
  }

  [inspect.custom](): string {
    const where = this.#netns === undefined ? '' : `, netns: ${inspect(this.#netns)}`
    return `Bridge { name: '${this.name}', index: ${this.index}${where}${this.#temporary ? ', temporary: true' : ''} }`
  }

  get #ref() { return { name: this.name, index: this.index, netns: this.#netns } }

  #link(): Link.LinkInfo {
    return Link.get(this.index, { netns: this.#netns })
  }

  #write(data: Partial<BridgeAttributes>, doing: string): void {
    if (Object.keys(data).length === 0) return
    const request: LinkRequest = { index: this.index, attributes: { kindInfo: { kind: 'bridge', data } } }
    withRoute(this.#netns, (socket) => socket.request(rtm('RTM_NEWLINK', { write: (w) => encodeLink(w, request), doing, shape: linkShape })))
  }

  /** br_changelink takes one attribute after the other and stops at the first that it refuses. */
  #restore(before: Partial<BridgeAttributes>, data: Partial<BridgeAttributes>, cause: unknown): void {
    const wanted = Object.fromEntries(Object.keys(data).map((key) => [key, before[key as keyof BridgeAttributes]])) as Partial<BridgeAttributes>
    try {
      const link = this.#link()
      const { maxAge, helloTime, forwardDelay } = readStatus(link, this.#netns).stp
      // What is as it was is not written: some of it the kernel refuses even so.
      this.#write(differing(wanted, { ...link.kindData, maxAge, helloTime, forwardDelay }), `restoring bridge ${this.name}`)
    } catch (error) {
      throw notTakenBack(cause, error)
    }
  }
}

/** Those of the attributes that are not as they are in `now`. */
function differing(attributes: Partial<BridgeAttributes>, now: Partial<BridgeAttributes>): Partial<BridgeAttributes> {
  const { switches, ...others } = attributes
  const result: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(others)) {
    // The ageing time in force may not be the one that was set.
    if (value !== now[key as keyof BridgeAttributes] || key === 'ageingTime') result[key] = value
  }
  const isSet = (name: string) => now.switches?.[name as Exclude<keyof BridgeSwitches, 'unknown'>]
  const bits = Object.entries(switches ?? {}).filter(([name, on]) => name !== 'unknown' && on !== isSet(name))
  if (bits.length > 0) result['switches'] = Object.fromEntries(bits)
  return result as Partial<BridgeAttributes>
}

/** What belongs to any link, and what only to bridges, checked. */
function split({ up, mac, mtu, ...settings }: BridgeChanges): { link: Link.LinkChanges; data: Partial<BridgeAttributes> } {
  if (up !== undefined && typeof up !== 'boolean') throw invalidArgument('up', 'true or false', up)
  if (mac !== undefined) checkStationMac(mac)
  if (mtu !== undefined) checkInteger(mtu, 68, 65535, 'mtu')
  return {
    link: { ...(up === undefined ? {} : { up }), ...(mac === undefined ? {} : { mac }), ...(mtu === undefined ? {} : { mtu }) },
    data: attributesOf(settings),
  }
}

/** A kernel built for br_netfilter takes the switches while the module is not loaded, and they do nothing. */
function checkNetfilter({ nfCallIptables, nfCallIp6tables, nfCallArptables }: Partial<BridgeAttributes>, netns: NetnsLike | undefined): void {
  if (nfCallIptables === true || nfCallIp6tables === true || nfCallArptables === true) requireBridgeNetfilter(netns)
}

/** Runs something in a namespace; a name is opened, and stays open for what `run` makes. */
function inNetns<T>(netns: NetnsLike | undefined, run: (netns: Netns | undefined, own: Netns | undefined) => T): T {
  if (typeof netns !== 'string') return run(netns, undefined)
  const own = Netns.open(netns)
  try {
    return run(own, own)
  } catch (error) {
    own.close()
    throw error
  }
}

/** A bridge's own address: neither zero nor a group (br_validate, net/bridge/br_netlink.c). */
function checkStationMac(mac: string): void {
  const bytes = parseMac(mac)
  if (isMulticastMac(bytes) || bytes.every((byte) => byte === 0)) throw outOfRange('mac', 'a unicast address other than zero', mac)
}
