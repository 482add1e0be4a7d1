// SPDX-License-Identifier: MIT
// The structs of SET_REPLACE, SET_ADD_COUNTERS, GET_ENTRIES and GET_REVISION (include/uapi/linux/netfilter_ipv4/ip_tables.h,
// netfilter_ipv6/ip6_tables.h, netfilter/x_tables.h): the same for both families on 64-bit machines.

import { LITTLE_ENDIAN } from '../bytes.js'
import { type AssembledTable, BLOB_HEADROOM } from './assemble.js'

/** XT_TABLE_MAXNAMELEN: where the name of a table ends. */
const NAME = 32
/** sizeof struct ipt_get_entries: the entries follow. */
export const GET_ENTRIES_HEADER = 40
/** sizeof struct xt_counters_info: the counters follow. */
const COUNTERS_HEADER = 40
/** sizeof struct ipt_replace: the entries follow. */
const REPLACE_HEADER = BLOB_HEADROOM
/** Where struct ipt_replace holds the address of the array that gets the old counters. */
export const REPLACE_COUNTERS_POINTER = 88
/** sizeof struct xt_counters. */
const COUNTERS = 16

const encoder = new TextEncoder()

/** The argument of GET_ENTRIES, zeroed: the kernel leaves bytes between the fields as they are. */
export function encodeGetEntries(table: string, size: number): Uint8Array {
  const bytes = new Uint8Array(GET_ENTRIES_HEADER + size)
  bytes.set(encoder.encode(table))
  new DataView(bytes.buffer).setUint32(NAME, size, LITTLE_ENDIAN)
  return bytes
}

/** The argument of SET_REPLACE; the address of the counters at {@link REPLACE_COUNTERS_POINTER} is left to the caller. */
export function encodeReplace(table: string, assembled: AssembledTable, oldEntries: number): Uint8Array {
  const { blob, validHooks, hookEntries, underflows, entries } = assembled
  // assembleTable leaves room for the header before the blob: a table of megabytes is not copied once more.
  const inPlace = blob.byteOffset === BLOB_HEADROOM
  const bytes = inPlace ? new Uint8Array(blob.buffer, 0, REPLACE_HEADER + blob.length) : new Uint8Array(REPLACE_HEADER + blob.length)
  const view = new DataView(bytes.buffer)
  bytes.fill(0, 0, REPLACE_HEADER)
  bytes.set(encoder.encode(table))
  const words = [validHooks, entries, blob.length, ...hookEntries, ...underflows, oldEntries]
  for (const [i, word] of words.entries()) view.setUint32(NAME + i * 4, word, LITTLE_ENDIAN)
  if (!inPlace) bytes.set(blob, REPLACE_HEADER)
  return bytes
}

/** The array that SET_REPLACE fills with the counters of the entries that it took away. */
export function counterArray(entries: number): Uint8Array {
  return new Uint8Array(entries * COUNTERS)
}

/** The argument of SET_ADD_COUNTERS: what each entry had before, and what the change itself gives it. */
export function encodeAddCounters(table: string, assembled: AssembledTable, old: Uint8Array): Uint8Array {
  const { entries, origins, counters } = assembled
  const bytes = new Uint8Array(COUNTERS_HEADER + entries * COUNTERS)
  const view = new DataView(bytes.buffer)
  bytes.set(encoder.encode(table))
  view.setUint32(NAME, entries, LITTLE_ENDIAN)
  for (let entry = 0; entry < entries;) {
    const from = origins[entry]!
    let end = entry + 1
    if (from >= 0) {
      // Rules that stayed together are copied together.
      while (end < entries && origins[end] === from + (end - entry)) end++
      bytes.set(old.subarray(from * COUNTERS, (from + end - entry) * COUNTERS), COUNTERS_HEADER + entry * COUNTERS)
    }
    entry = end
  }
  for (const [entry, { packets, bytes: count }] of counters) {
    const at = COUNTERS_HEADER + entry * COUNTERS
    // Modulo 2^64, as the kernel adds: a negative number takes away.
    view.setBigUint64(at, BigInt.asUintN(64, view.getBigUint64(at, LITTLE_ENDIAN) + packets), LITTLE_ENDIAN)
    view.setBigUint64(at + 8, BigInt.asUintN(64, view.getBigUint64(at + 8, LITTLE_ENDIAN) + count), LITTLE_ENDIAN)
  }
  return bytes
}

/** The argument of GET_REVISION_MATCH and _TARGET (struct xt_get_revision). */
export function encodeRevision(name: string, revision: number): Uint8Array {
  const bytes = new Uint8Array(30)
  bytes.set(encoder.encode(name))
  bytes[29] = revision
  return bytes
}
