// SPDX-License-Identifier: MIT
// What one file in fields/ declares of a field of a match, and the registry.

import type { IpFamily } from '../ip.js'
import type { Label } from '../bpf/assembler.js'
import type { FieldCode } from './field-code.js'
import type { PacketView } from './packet-view.js'

/**
 * Where the bytes of a packet begin, by the names that libpcap and tcpdump (`-y`) have: at its IP header, or at the destination address
 * of an Ethernet frame.
 */
export type LinkType = 'RAW' | 'EN10MB'

/** The fields of a match by name; each field's file adds its own by declaration merging. */
export interface PacketMatchFields {}

/**
 * How far into a packet a field looks: not at all, into the frame (any, or only one with a link-layer header), the IP header, to the
 * transport protocol, into the transport header. Those to the right cost more and are asked last.
 */
export type Layer = 'metadata' | 'frame' | 'link' | 'network' | 'protocol' | 'transport'
export const LAYERS: readonly Layer[] = ['metadata', 'frame', 'link', 'network', 'protocol', 'transport']

/** The kind of a packet as far as it decides which fields it can have. */
export interface PacketKind {
  readonly linkType: LinkType
  /** Whether it has an Ethernet header. */
  readonly ethernet: boolean
  /** Of its IP header, when it has one that is sound. */
  readonly family: IpFamily | undefined
}

/** One field. `V` is its value once checked. */
export interface Field<V> {
  /** The name in {@link PacketMatchFields}. */
  readonly key: string
  /** Checks what the user gave. @throws TypeError, RangeError with `name` */
  read(given: unknown, name: string): V
  layer(value: V): Layer
  /** The families of which a packet must be; both unless told. */
  families?(value: V): readonly IpFamily[]
  /** The transport protocols of which a packet must be one; any unless told. Asked for before `test` and `compile`. */
  protocols?(value: V): readonly number[]
  /** The one transport protocol that packets with this field have, where the field itself asks for it. */
  implies?(value: V): readonly number[]
  /** Whether packets of a kind can have the field, where its layer and families do not say it all. */
  applies?(value: V, kind: PacketKind): boolean
  /** Whether a packet has the field, and with this value. */
  test(value: V, packet: PacketView): boolean
  /** Code that jumps to `yes` or `no` by the same question, for packets of the kind `code.kind`. */
  compile(value: V, code: FieldCode, yes: Label, no: Label): void
}

const BOTH: readonly IpFamily[] = ['ipv4', 'ipv6']

/** The families of which a packet must be to have a field. */
export function familiesOf<V>(field: Field<V>, value: V): readonly IpFamily[] {
  return field.families?.(value) ?? BOTH
}

/** The transport protocols that a packet can be of when it has a field; undefined: any. */
export function protocolsOf<V>(field: Field<V>, value: V): readonly number[] | undefined {
  return field.implies?.(value) ?? field.protocols?.(value)
}

/** Whether packets of a kind can have a field. */
export function applies<V>(field: Field<V>, value: V, kind: PacketKind): boolean {
  if (field.applies !== undefined) return field.applies(value, kind)
  const layer = field.layer(value)
  if (layer === 'metadata' || layer === 'frame') return true
  if (layer === 'link') return kind.ethernet
  return kind.family !== undefined && familiesOf(field, value).includes(kind.family)
}

/** Whether a field stands behind the extension headers of IPv6. */
export const isBehindHeaders = (layer: Layer): boolean => layer === 'protocol' || layer === 'transport'

const registry = new Map<string, Field<unknown>>()

/** Registers a field. */
export function registerField<V>(field: Field<V>): void {
  registry.set(field.key, field as Field<unknown>)
}

export const fieldOf = (key: string): Field<unknown> | undefined => registry.get(key)
export const fieldNames = (): string[] => [...registry.keys()]
