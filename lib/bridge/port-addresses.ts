// SPDX-License-Identifier: MIT
// The addresses of a device that becomes a port, and the routes that hang on them: taken away, or moved to the bridge.

import { NfkitError } from '../errors.js'
import * as Address from '../net/address.js'
import type { LinkInfo } from '../net/link.js'
import * as Route from '../net/route.js'
import type { NetnsLike } from '../netns.js'
import { formatIp, parsePrefix } from '../wire/ip.js'
import type { Journal } from './journal.js'

/** Addresses and routes, as they were on the device that had them. */
export interface AddressesAndRoutes {
  addresses: Address.AddressInfo[]
  routes: Route.RouteInfo[]
}

/**
 * What a device has that its becoming a port makes useless: its addresses but for IPv6 link-local ones, which every device
 * has; the routes through it, and those through others that name one of its addresses as source.
 */
export function addressesOf(link: LinkInfo, netns: NetnsLike | undefined): AddressesAndRoutes {
  const addresses = Address.list({ netns, link: link.index }).filter(({ family, scope }) => family === 'ipv4' || scope !== 'link')
  if (addresses.length === 0) return { addresses, routes: [] }
  const own = new Set(addresses.map(({ address }) => address.slice(0, address.indexOf('/'))))
  const routes = Route.list({ netns }).filter((route) => {
    if (route.table === 'local' || route.flags.includes('cloned') || isLinkLocal(route)) return false
    return uses(route, link.index) || (route.prefSource !== undefined && own.has(route.prefSource))
  })
  return { addresses, routes }
}

/** Takes addresses from the device, and the routes through it. */
export function drop({ addresses, routes }: AddressesAndRoutes, link: LinkInfo, netns: NetnsLike | undefined, journal: Journal): void {
  journal.onUndo(() => ensureRoutes(routes, netns))
  // Before the addresses: IPv6 would leave them, without the source address that they name.
  removeRoutes(routes.filter((route) => uses(route, link.index) && route.protocol !== 'kernel'), netns)
  for (const address of lastFirst(addresses)) journal.step(() => Address.delete(address, { netns }), () => addAddress(address, netns))
  removeOrphans(addresses, link.index, netns)
}

/** Moves addresses and their routes from one device to another. */
export function move(what: AddressesAndRoutes, from: LinkInfo, to: LinkInfo, netns: NetnsLike | undefined, journal: Journal): void {
  for (const route of what.routes) {
    if (route.nexthopId !== undefined && uses(route, from.index)) {
      throw new NfkitError('NFKIT_ROUTE_NOT_MOVABLE', `route ${route.destination} through ${from.name} uses nexthop object ${route.nexthopId}`,
        { hint: 'nexthop objects belong to a device: delete the route, or make it without one' })
    }
  }
  const moved = what.routes.map((route) => rerouted(route, from.index, to.index))
  drop(what, from, netns, journal)
  const there = what.addresses.map((address) => ({ ...address, link: to.index, ...label(address, from.name, to.name) }))
  journal.onUndo(() => removeOrphans(there, to.index, netns))
  for (const address of lastFirst(there).reverse()) journal.step(() => addAddress(address, netns), () => Address.delete(address, { netns }))
  const before = new Set(Route.list({ netns, link: to.index }).map((route) => essence(route)))
  journal.onUndo(() => removeRoutes(moved.filter((route) => uses(route, to.index) && !before.has(essence(route))), netns))
  ensureRoutes(moved, netns)
}

/** Undoes {@link move}: what is still where it was moved to goes back. `what` is as it was before. */
export function moveBack(what: AddressesAndRoutes, from: LinkInfo, to: LinkInfo, netns: NetnsLike | undefined, journal: Journal): void {
  if (what.addresses.length === 0) return
  const key = ({ address, peer }: Address.AddressInfo) => `${address} ${peer ?? ''}`
  const wanted = new Set(what.addresses.map(key))
  const routes = new Set(what.routes.map((route) => essence(rerouted(route, to.index, from.index))))
  const there = addressesOf(from, netns)
  move({
    addresses: there.addresses.filter((address) => wanted.has(key(address))),
    routes: there.routes.filter((route) => routes.has(essence(route))),
  }, from, to, netns, journal)
}

/** Undoes {@link drop}. */
export function bringBack({ addresses, routes }: AddressesAndRoutes, netns: NetnsLike | undefined, journal: Journal): void {
  if (addresses.length === 0) return
  for (const address of lastFirst(addresses).reverse()) journal.step(() => addAddress(address, netns), () => Address.delete(address, { netns }))
  ensureRoutes(routes, netns)
}

/** Gives an address as it was to a device. One that was in use is not tried for duplicates again, which would take it out of use. */
function addAddress(address: Address.AddressInfo, netns: NetnsLike | undefined): void {
  const quiet = address.family === 'ipv6' && !address.flags.some((flag) => ['nodad', 'tentative', 'dadfailed', 'optimistic'].includes(flag))
  if (!quiet) return Address.add(address, { netns })
  Address.add({ ...address, flags: [...address.flags, 'nodad'] }, { netns })
  Address.replace(address, { netns })
}

/**
 * The order to delete addresses in; the reverse is the order to add them in to get the same list again. In IPv4 the first
 * address of a network takes the others with it, so it goes last; in IPv6 the newest address is the first of the list.
 */
function lastFirst(addresses: readonly Address.AddressInfo[]): Address.AddressInfo[] {
  return [...addresses.filter(({ family }) => family === 'ipv4').reverse(), ...addresses.filter(({ family }) => family === 'ipv6')]
}

/** IPv6 leaves the kernel's route to the prefix of an address that would have expired (cleanup_prefix_route, net/ipv6/addrconf.c). */
function removeOrphans(gone: readonly Address.AddressInfo[], link: number, netns: NetnsLike | undefined): void {
  const prefixes = new Set(gone.filter(({ family }) => family === 'ipv6').map(({ address }) => networkOf(address)))
  for (const { address } of Address.list({ netns, link, family: 'ipv6' })) prefixes.delete(networkOf(address))
  if (prefixes.size === 0) return
  for (const route of Route.list({ netns, link, family: 'ipv6', protocol: 'kernel' })) {
    if (route.table !== 'local' && prefixes.has(route.destination)) Route.delete(route, { netns })
  }
}

function networkOf(text: string): string {
  const { address, length } = parsePrefix(text)
  return `${formatIp(address.map((byte, i) => byte & ~(0xff >> Math.min(Math.max(length - i * 8, 0), 8))))}/${length}`
}

/** Adds the routes that are not there, those without a gateway first since the others are reached through them. */
function ensureRoutes(routes: readonly Route.RouteInfo[], netns: NetnsLike | undefined): void {
  const there = Route.list({ netns })
  const known = new Set(there.map((route) => essence(route)))
  for (const route of [...routes].sort((a, b) => Number(hasGateway(a)) - Number(hasGateway(b)))) {
    if (known.has(essence(route))) continue
    // IPv6 keeps a route whose source address goes, without it (rt6_remove_prefsrc, net/ipv6/route.c).
    const bare = there.find((other) => other.prefSource === undefined && essence(other) === essence(route, 'prefSource'))
    if (route.prefSource !== undefined && bare !== undefined) Route.delete(bare, { netns })
    Route.add(route, { netns, append: true })
  }
}

/** Deletes those of the routes that are there. */
function removeRoutes(routes: readonly Route.RouteInfo[], netns: NetnsLike | undefined): void {
  const there = new Set(Route.list({ netns }).map((route) => essence(route)))
  for (const route of routes) if (there.has(essence(route))) Route.delete(route, { netns })
}

/** A route as text, without what changes by itself. */
function essence(route: Route.RouteInfo, ...without: string[]): string {
  const omitted = new Set(['flags', 'expires', 'lastUse', 'used', 'error', ...without])
  return JSON.stringify(Object.entries(route).filter(([key]) => !omitted.has(key)).sort(([a], [b]) => (a < b ? -1 : 1)),
    (key, value) => (key === 'flags' ? undefined : value)) + (route.flags.includes('onlink') ? ' onlink' : '')
}

function rerouted(route: Route.RouteInfo, from: number, to: number): Route.RouteInfo {
  if (!uses(route, from)) return route
  if (route.nexthops === undefined) return { ...route, link: to }
  return { ...route, nexthops: route.nexthops.map((nexthop) => (nexthop.link === from ? { ...nexthop, link: to } : nexthop)) }
}

function uses(route: Route.RouteInfo, index: number): boolean {
  return route.link === index || route.nexthops?.some(({ link }) => link === index) === true
}

function hasGateway({ gateway, nexthops, nexthopId }: Route.RouteInfo): boolean {
  return gateway !== undefined || nexthopId !== undefined || nexthops?.some((nexthop) => nexthop.gateway !== undefined) === true
}

/** Routes that every device with IPv6 has: to fe80::/10 and to multicast. */
function isLinkLocal({ family, destination }: Route.RouteInfo): boolean {
  if (family === 'ipv4' || destination === 'default') return false
  const { address } = parsePrefix(destination)
  return address[0] === 0xff || (address[0] === 0xfe && (address[1]! & 0xc0) === 0x80)
}

/** An IPv4 label is the device's name or begins with it and a colon; one that would be too long becomes the name alone. */
function label(address: Address.AddressInfo, from: string, to: string): { label?: string } {
  if (address.label === undefined) return {}
  const text = address.label.startsWith(`${from}:`) ? `${to}${address.label.slice(from.length)}` : to
  return { label: text.length > 15 ? to : text }
}
