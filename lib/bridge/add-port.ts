// SPDX-License-Identifier: MIT
// Adding and removing ports: what `brctl addif` and `ifconfig 0.0.0.0 promisc up` did, as one step that is done or undone.

import { Errno } from '../errno.js'
import { invalidArgument, NfkitError } from '../errors.js'
import type { AddressInfo } from '../net/address.js'
import { checkBoolean, checkKeys } from '../net/check.js'
import * as Link from '../net/link.js'
import type { RouteInfo } from '../net/route.js'
import { withRoute } from '../netlink/route.js'
import { Journal } from './journal.js'
import { addressesOf, bringBack, drop, move, moveBack } from './port-addresses.js'
import { checkPortSettings, portLink, type PortSettings, setPort } from './ports.js'
import type { BridgeRef } from './ref.js'

/** How a port is added. */
export interface AddPortOptions extends PortSettings {
  /** Bring the device up. Default true. */
  up?: boolean | undefined
  /** Set the device's promiscuous flag, as the flag of a user. Default true. The bridge asks for what it needs besides. */
  promiscuous?: boolean | undefined
  /**
   * What becomes of the device's addresses (IPv4, and IPv6 but for link-local ones). The box does not answer on a port, so a
   * device that has any is refused unless told:
   * - `move`: the bridge gets them, with their flags, lifetimes and labels, and the routes of all tables that use the device
   *   or name one of them as source, with their metrics and all. Those that the kernel makes are made anew.
   * - `drop`: they go, and with them the routes through the device.
   * - `keep`: they stay where they are.
   */
  addresses?: 'move' | 'drop' | 'keep' | undefined
}

/** What adding a port changed. */
export interface AddedPort {
  /** The device's name. */
  port: string
  index: number
  /** It was up before. */
  wasUp: boolean
  /** Its promiscuous flag was set before. */
  wasPromiscuous: boolean
  /** What it had, as it was there. */
  addressesMoved: AddressInfo[]
  addressesDropped: AddressInfo[]
  /** Without the routes that the kernel makes with an address. */
  routesMoved: RouteInfo[]
  routesDropped: RouteInfo[]
}

/** How a port is removed. */
export interface RemovePortOptions {
  /**
   * What {@link Bridge.addPort} answered: the device's flags, addresses and routes become what they were before it. Without
   * it the device stays as it is.
   */
  restore?: AddedPort | undefined
}

export function addPort(bridge: BridgeRef, ref: Link.LinkRef, options: AddPortOptions = {}): AddedPort {
  Link.checkLinkRef(ref, 'port')
  if (typeof options !== 'object' || options === null) throw invalidArgument('options', 'an object', options)
  const { up = true, promiscuous = true, addresses, ...settings } = options
  checkBoolean(up, 'up')
  checkBoolean(promiscuous, 'promiscuous')
  if (addresses !== undefined && !['move', 'drop', 'keep'].includes(addresses)) throw invalidArgument('addresses', 'move, drop or keep', addresses)
  checkPortSettings(settings)
  const netns = { netns: bridge.netns }
  const link = Link.get(ref, netns)
  checkFree(bridge, link)
  const has = addresses === 'keep' ? { addresses: [], routes: [] } : addressesOf(link, bridge.netns)
  if (addresses === undefined && has.addresses.length > 0) throw hasAddresses(bridge, link, has.addresses)
  return Journal.run((journal) => {
    journal.step(() => Link.set(link.index, { master: bridge.index }, netns), () => Link.set(link.index, { master: null }, netns))
    const flags: Link.LinkChanges = { ...(up ? { up } : {}), ...(promiscuous ? { promiscuous } : {}) }
    journal.step(() => Link.set(link.index, flags, netns), () => Link.set(link.index, { up: link.up, promiscuous: link.promiscuous }, netns))
    withRoute(bridge.netns, (socket) => setPort(bridge, socket, Link.get(link.index, netns), settings))
    if (has.addresses.length > 0) {
      if (addresses === 'move') move(has, link, Link.get(bridge.index, netns), bridge.netns, journal)
      else drop(has, link, bridge.netns, journal)
    }
    const routes = has.routes.filter(({ protocol }) => protocol !== 'kernel')
    const moved = addresses === 'move'
    return {
      port: link.name, index: link.index, wasUp: link.up, wasPromiscuous: link.promiscuous,
      addressesMoved: moved ? has.addresses : [], addressesDropped: moved ? [] : has.addresses,
      routesMoved: moved ? routes : [], routesDropped: moved ? [] : routes,
    }
  })
}

/** Takes a port out of the bridge. */
export function removePort(bridge: BridgeRef, ref: Link.LinkRef, options: RemovePortOptions = {}): void {
  Link.checkLinkRef(ref, 'port')
  checkKeys(options, ['restore'], 'options')
  const { restore } = options
  if (restore !== undefined) checkKeys(restore, RECORD, 'restore')
  const netns = { netns: bridge.netns }
  const link = portLink(bridge, ref)
  if (restore !== undefined && restore.index !== link.index) throw invalidArgument('restore', `what addPort answered for ${link.name}`, restore)
  Journal.run((journal) => {
    journal.step(() => Link.set(link.index, { master: null }, netns), () => Link.set(link.index, { master: bridge.index }, netns))
    if (restore === undefined) return
    const { addressesMoved, addressesDropped, routesMoved, routesDropped, wasUp, wasPromiscuous } = restore
    moveBack({ addresses: addressesMoved, routes: routesMoved }, Link.get(bridge.index, netns), link, bridge.netns, journal)
    bringBack({ addresses: addressesDropped, routes: routesDropped }, bridge.netns, journal)
    const flags = { up: wasUp, promiscuous: wasPromiscuous }
    journal.step(() => Link.set(link.index, flags, netns), () => Link.set(link.index, { up: link.up, promiscuous: link.promiscuous }, netns))
  })
}

const RECORD: (keyof AddedPort)[] = ['port', 'index', 'wasUp', 'wasPromiscuous', 'addressesMoved', 'addressesDropped', 'routesMoved', 'routesDropped']

/** The kernel would take the device away from its master without a word (do_set_master, net/core/rtnetlink.c). */
function checkFree(bridge: BridgeRef, link: Link.LinkInfo): void {
  if (link.master === undefined) return
  throw NfkitError.fromErrno(Errno.EBUSY, 'RTM_NEWLINK', `adding port ${link.name} to ${bridge.name}`, {
    hint: link.master === bridge.index ? 'it is a port of this bridge already' : 'it has another master: take it out there first',
  })
}

function hasAddresses(bridge: BridgeRef, link: Link.LinkInfo, addresses: readonly AddressInfo[]): NfkitError {
  return new NfkitError('NFKIT_PORT_HAS_ADDRESSES',
    `${link.name} has addresses, on which this box would no longer answer as soon as it is a port of ${bridge.name}: ` +
      addresses.map(({ address }) => address).join(', '),
    { hint: "with { addresses: 'move' } the bridge gets them and their routes, with 'drop' they go, with 'keep' they stay" })
}
