// SPDX-License-Identifier: MIT
// What the kernel has: tables, matches and targets with their revisions.

import { NfkitError } from '../errors.js'
import { Netns } from '../netns.js'
import { XtablesSocket } from '../sockopt/xtables.js'
import { registeredExtensions } from '../wire/xtables/extension.js'
import { TABLE_NAMES } from '../wire/xtables/tables.js'
import type { TableAccess } from './access.js'

/** A match or target of the kernel's. */
export interface ExtensionSupport {
  /** As tables name it: `-m state` is a `conntrack`. */
  name: string
  /** The revisions that the kernel has. */
  revisions: number[]
  /** The revisions that nfkit describes; others are read and written back as bytes. */
  typed: number[]
}

/** What {@link Netfilter.supported} answers. */
export interface NetfilterSupport {
  /** The tables that the kernel can make; undefined without the right to make a namespace to try that in. */
  tables: string[] | undefined
  matches: ExtensionSupport[]
  targets: ExtensionSupport[]
}

/** No extension has had more (set has 4). */
const MOST_REVISIONS = 8

export function supportOf(access: TableAccess): NetfilterSupport {
  return { tables: possibleTables(access), matches: extensions(access, 'match'), targets: extensions(access, 'target') }
}

/**
 * The tables that the kernel can make. To ask is to make them, so it is asked in a namespace that nobody uses and that ends with
 * this call.
 */
export function possibleTables({ family }: TableAccess): string[] | undefined {
  let scratch: Netns
  try { scratch = Netns.create() } catch { return undefined }
  try {
    const socket = XtablesSocket.open(family, scratch.fd)
    try {
      return TABLE_NAMES.filter((name) => {
        try { socket.info(name) } catch (error) {
          if (error instanceof NfkitError && error.code === 'NFKIT_LEGACY_TABLES_MISSING') return false
          throw error
        }
        return true
      })
    } finally { socket.close() }
  } finally { scratch.close() }
}

/** Those that the kernel lists, which are the loaded ones, and those that nfkit describes: asking loads their modules. */
function extensions(access: TableAccess, kind: 'match' | 'target'): ExtensionSupport[] {
  const described = registeredExtensions(kind, access.family)
  const revisionsOf = (name: string) => Array.from({ length: MOST_REVISIONS }, (_, revision) => revision).filter((revision) => access.kernelHas(kind, name, revision))
  const found = new Map(described.map((one) => [one.wireName ?? one.name, [] as number[]]))
  for (const name of found.keys()) found.set(name, revisionsOf(name))
  // Listed only now: a module that has been loaded for one name can bring others. The standard targets, '' and ERROR, are parts of every
  // table and nothing that a rule asks for.
  for (const name of access.procList(kind === 'match' ? 'matches' : 'targets') ?? []) {
    if (name !== '' && name !== 'ERROR' && !found.get(name)?.length) found.set(name, revisionsOf(name))
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([name, revisions]) => {
    if (revisions.length === 0) return []
    const typed = new Set(described.filter((one) => (one.wireName ?? one.name) === name).map((one) => one.revision))
    return [{ name, revisions, typed: [...typed].sort((a, b) => a - b) }]
  })
}
