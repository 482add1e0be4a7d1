// SPDX-License-Identifier: MIT
// A wire: a veth pair between two hosts.

import { inspect } from 'node:util'
import { invalidArgument } from '../errors.js'
import { checkBoolean, checkKeys } from '../net/check.js'
import * as Link from '../net/link.js'
import { checkInterfaceName } from '../wire/attributes.js'
import { checkInteger } from '../wire/check.js'
import { parsePrefix } from '../wire/ip.js'
import { parseMac } from '../wire/mac.js'
import type { Host } from './host.js'
import { waitUntilFound, waitUntilUp } from './ready.js'

/** One end of a wire that is to be: where, and what the interface is to be like. */
export interface WireEndSpec {
  /** The host, or its name. */
  host: Host | string
  /** The interface's name, 1 to 15 bytes; the lowest `ethN` that is free unless told. */
  name?: string | undefined
  /** MAC address; 02:00:00:00:H:I for interface number I of host number H of the lab, both from 1, unless told. */
  mac?: string | undefined
  /** Addresses with prefix length: `192.168.0.2/24`, `fd00::2/64`. */
  addresses?: readonly string[] | undefined
}

export interface WireOptions {
  /** Bytes of a packet, 68 to 65535, at both ends; 1500 unless told. */
  mtu?: number | undefined
  /** False leaves both ends down. True unless told. */
  up?: boolean | undefined
}

/** One end of a wire. */
export interface WireEnd {
  readonly host: Host
  /** The interface's name as it was made. */
  readonly name: string
  readonly index: number
  readonly mac: string
}

/** An end as {@link plug} takes it, all decided. */
export interface PlugSpec {
  readonly host: Host
  readonly name: string
  readonly mac: string
  readonly index: number
  readonly addresses: readonly string[]
}

/** A wire of a {@link Lab}; made by `lab.wire()`. */
export class Wire {
  readonly ends: readonly [WireEnd, WireEnd]
  readonly #onDelete: (wire: Wire) => void

  /** @internal */
  constructor(ends: readonly [WireEnd, WireEnd], onDelete: (wire: Wire) => void) {
    this.ends = ends
    this.#onDelete = onDelete
  }

  /** The end at a host. @throws TypeError when there is none */
  at(host: Host): WireEnd {
    const end = this.ends.find((candidate) => candidate.host === host)
    if (end === undefined) throw invalidArgument('host', `${this.ends[0].host.name} or ${this.ends[1].host.name}`, host?.name)
    return end
  }

  /** Cuts the wire: both ends are set down. Routes and IPv6 addresses of the interfaces go with it; IPv4 addresses stay. */
  cut(): void { this.#set(false) }

  /** Mends it: both ends are set up. */
  mend(): void { this.#set(true) }

  #set(up: boolean): void {
    for (const { host, index } of this.ends) Link.set(index, { up }, { netns: host.netns })
    if (up) settle(this.ends)
  }

  /** Takes the wire away with both interfaces. Takes 17 ms. */
  delete(): void {
    const [{ host, index }] = this.ends
    Link.delete(index, { netns: host.netns })
    this.#onDelete(this)
  }

  [inspect.custom](): string {
    return `Wire { ${this.ends.map(({ host, name, mac }) => `${host.name}:${name} (${mac})`).join(' -- ')} }`
  }
}

/** Checks an end before anything is done; `find` looks a host up by name. */
export function checkEnd(end: unknown, argument: string, find: (name: string) => Host): WireEndSpec & { host: Host } {
  if (typeof end === 'string') {
    const [host = '', name, ...more] = end.split(':')
    if (host === '' || more.length > 0 || name === '') throw invalidArgument(argument, 'HOST or HOST:INTERFACE', end)
    return checkEnd({ host, ...(name === undefined ? {} : { name }) }, argument, find)
  }
  checkKeys(end, ['host', 'name', 'mac', 'addresses'], argument)
  const { host, name, mac, addresses } = end as WireEndSpec
  if (typeof host !== 'string' && (typeof host !== 'object' || host === null)) {
    throw invalidArgument(`${argument}.host`, 'a host or its name', host)
  }
  if (name !== undefined) checkInterfaceName(name, `${argument}.name`)
  if (mac !== undefined) parseMac(mac, `${argument}.mac`)
  if (addresses !== undefined) {
    if (!Array.isArray(addresses)) throw invalidArgument(`${argument}.addresses`, 'an array of addresses', addresses)
    addresses.forEach((address, i) => parsePrefix(address as string, `${argument}.addresses[${i}]`))
  }
  return { host: typeof host === 'string' ? find(host) : find(host.name), name, mac, addresses }
}

/** Checks the options before anything is done. */
export function checkWireOptions(options: WireOptions): Required<{ [K in keyof WireOptions]-?: NonNullable<WireOptions[K]> }> {
  checkKeys(options, ['mtu', 'up'], 'options')
  const { mtu = 1500, up = true } = options
  checkInteger(mtu, 68, 65535, 'mtu', 'bytes')
  checkBoolean(up, 'up')
  return { mtu, up }
}

/** Makes the wire; when it cannot be made as asked, nothing of it stays. */
export function plug(ends: readonly [PlugSpec, PlugSpec], { mtu, up }: { mtu: number; up: boolean }, onDelete: (wire: Wire) => void): Wire {
  const [a, b] = ends
  const [first, second] = ends.map(({ name, mac, index }) => ({ name, mac, index, mtu })) as [Interface, Interface]
  // Both ends are made in their namespaces at once: no name can collide on the way.
  const link = Link.add({ kind: 'veth', ...first, peer: { ...second, netns: b.host.netns } }, { netns: a.host.netns })
  try {
    if (up) for (const { host, index } of ends) Link.set(index, { up }, { netns: host.netns })
    for (const { host, name, addresses } of ends) for (const address of addresses) host.addAddress(name, address)
    if (up) settle(ends)
    return new Wire([endOf(a), endOf(b)], onDelete)
  } catch (error) {
    Link.delete(link.index, { netns: a.host.netns })
    throw error
  }
}

/** Waits until frames pass in both directions and the link-local addresses are there. */
function settle(ends: readonly WireEnd[]): void {
  for (const { host, index } of ends) waitUntilUp(host.netns, index)
  for (const { host, name, mac } of ends) if (host.ipv6) waitUntilFound(host.netns, name, [], mac)
}

interface Interface { name: string; mac: string; index: number; mtu: number }

const endOf = ({ host, name, index, mac }: PlugSpec): WireEnd => ({ host, name, index, mac })
