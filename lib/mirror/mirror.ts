// SPDX-License-Identifier: MIT
// The mirror port in one call.

import { randomUUID } from 'node:crypto'
import { inspect } from 'node:util'
import { type CloneCounters, readCloneCounters } from '../clone/clone-counters.js'
import { requireLoaded } from '../clone/kernel-module.js'
import { invalidArgument, NfkitError, outOfRange } from '../errors.js'
import { checkBoolean, checkKeys } from '../net/check.js'
import { checkLinkRef } from '../net/link.js'
import { checkLockOptions, type LockOptions } from '../netfilter/lock.js'
import { Netns, type NetnsLike } from '../netns.js'
import type { IpFamily } from '../wire/ip.js'
import { checkMirrorName } from './name.js'
import { isAlive, thisOwner } from './owner.js'
import { planReroute } from './plan.js'
import type { MirrorRecord } from './record.js'
import { type MirrorSourceLike, planSource } from './source.js'
import { applyStep, describeStep, repairStep, type StepContext, undoStep, type UndoResult } from './step.js'
import { type DamagedJournal, JournalStore } from './store.js'
import { chooseFamilies, requirePort, survey } from './survey.js'

/** Where mirrors are. */
export interface MirrorPlace {
  /** The namespace; this process's own unless told. */
  netns?: NetnsLike | undefined
  /** Directory of the journals; that of the environment variable NFKIT_MIRROR_DIR, else `/run/nfkit/mirror`, unless told. */
  journal?: string | undefined
}

/** What changes mirrors takes beside. */
export interface MirrorChangeOptions extends MirrorPlace {
  /** The lock that changes of the iptables tables take, see `Netfilter.open`. */
  lock?: LockOptions | 'off' | undefined
}

/** What {@link Mirror.create} takes. */
export interface MirrorOptions extends MirrorChangeOptions {
  /** 1 to 63 letters, digits, `_`, `.` and `-`; `mirror1` and so on unless told. The rule's comment is `nfkit:NAME`. */
  name?: string | undefined
  /** Which packets. */
  from: MirrorSourceLike
  /** The mirror port, by name. For `reroute` there is one. */
  to: string | readonly string[]
  /** How copies get to the port: `reroute`, by a mark and policy routing. */
  via?: 'reroute' | undefined
  /** Unless told: both, as far as the rule can be written for them and the box has IPv6. */
  family?: IpFamily | 'both' | undefined
  /** Stays when this handle is closed or its process ends, until `Mirror.remove(name)`. False unless told. */
  persistent?: boolean | undefined
  /** The mark of the copies, 1 to 4294967295; a free one unless told. */
  mark?: number | undefined
  /** The routing table, 1 to 4294967295; a free one unless told. */
  table?: number | undefined
}

/** A mirror as its journal has it. */
export interface MirrorInfo {
  name: string
  /**
   * `up`: all of it was set up. `setting-up`, `removing`: somebody is about it, or ended within and left what `Mirror.remove` undoes.
   * `damaged`: the journal cannot be read, `problem` says why, and nothing else is known.
   */
  state: 'up' | 'setting-up' | 'removing' | 'damaged'
  problem?: string
  families?: IpFamily[]
  /** `rules`: what selects the packets, as iptables-save has it. */
  from?: { table: string; chain: string; rules: string[] }
  to?: string[]
  via?: 'reroute'
  mark?: number
  table?: number
  persistent?: boolean
  /** Whether it is neither persistent nor its process is still there: what a crash left. */
  abandoned?: boolean
  /** The process that made it. */
  pid?: number
  /** ISO 8601. */
  created?: string
  /** What was set up for it, in its order, in words. */
  steps?: string[]
}

/** What became of one step of a removed mirror. */
export interface UndoneStep {
  step: string
  result: UndoResult
}

const OPTIONS = ['name', 'from', 'to', 'via', 'family', 'persistent', 'mark', 'table', 'netns', 'journal', 'lock']
const CHANGE = ['netns', 'journal', 'lock']
const PLACE = ['netns', 'journal']

/**
 * A mirror port: copies of the packets that a rule selects leave by it, while the packets go on as without. Needs the kernel module (see
 * `KernelModule`), CAP_NET_ADMIN in the namespace, and legacy iptables tables.
 *
 * Made in one call: ARP is switched off on the port, a routing table of its own gets a default route to it and a blackhole behind that, a policy
 * rule before all others sends the mark of the copies there, and a rule with `-j CLONE` makes them. All of that is undone by {@link close}, or in reverse when a
 * step fails; each step is in a journal before it is done, so that {@link Mirror.remove} undoes it also after the process was killed.
 *
 *     await using mirror = await Mirror.create({ from: { chain: 'FORWARD', protocol: 'tcp' }, to: 'eth5' })
 *     mirror.stats()
 */
export class Mirror implements AsyncDisposable {
  readonly name: string
  readonly mark: number
  readonly table: number
  readonly #id: string
  readonly #place: Place
  /** Whether closing undoes it. */
  readonly #owned: boolean
  #closed = false

  private constructor({ name, mark, table, id }: MirrorRecord, place: Place, owned: boolean) {
    this.name = name
    this.mark = mark
    this.table = table
    this.#id = id
    this.#place = place
    this.#owned = owned
  }

  /**
   * Sets a mirror up: all of it, or nothing is changed.
   * @throws TypeError, RangeError, RuleError before anything is done
   * @throws NfkitError NFKIT_MODULE_NOT_LOADED and others of `KernelModule.load`, ENODEV, ENETDOWN and NFKIT_MIRROR_PORT for the port,
   * NFKIT_IPV6_DISABLED, NFKIT_NO_SUCH_CHAIN, NFKIT_MIRROR_EXISTS, NFKIT_LEGACY_TABLES_MISSING, NFKIT_LOCK_TIMEOUT, EPERM, all before
   * anything is done; what a step met; NFKIT_PARTIAL when undoing the others failed, then `Mirror.remove` has the rest
   */
  static async create(options: MirrorOptions): Promise<Mirror> {
    checkKeys(options, OPTIONS, 'options')
    const { name: asked, from, to, via = 'reroute', family, persistent = false, mark, table } = options
    if (asked !== undefined) checkMirrorName(asked)
    if (via !== 'reroute') throw invalidArgument('via', "'reroute'", via)
    const port = onePort(to)
    if (family !== undefined && family !== 'both' && family !== 'ipv4' && family !== 'ipv6') throw invalidArgument('family', "'ipv4', 'ipv6' or 'both'", family)
    const families: IpFamily[] | undefined = family === undefined ? undefined : family === 'both' ? ['ipv4', 'ipv6'] : [family]
    checkBoolean(persistent, 'persistent')
    for (const [key, value] of [['mark', mark], ['table', table]] as const) {
      if (value === undefined) continue
      if (typeof value !== 'number') throw invalidArgument(key, 'a number', value)
      if (!Number.isInteger(value) || value < 1 || value > 0xffffffff) throw outOfRange(key, 'a whole number from 1 to 4294967295', value)
    }
    // The comment needs a name; another of the same length is checked as well as the one that is free.
    planSource(from, asked ?? 'mirror1', families)
    const place = openPlace(options)
    try {
      requireLoaded('mirroring')
      const link = requirePort(port, place.netns)
      return await place.store.locked(async () => {
        const { records: others, damaged } = place.store.read()
        const name = asked ?? freeName([...others, ...damaged])
        if ([...others, ...damaged].some((other) => other.name === name)) {
          throw new NfkitError('NFKIT_MIRROR_EXISTS', `there is a mirror ${name} already`, { hint: `take another name, or remove it: Mirror.remove('${name}')` })
        }
        const source = planSource(from, name, families)
        const chosen = chooseFamilies(source, families, port, place.netns)
        const plan = planReroute({ source, families: chosen, mark, table }, survey(link, source, chosen, others, place.netns, place.lock))
        const record: MirrorRecord = {
          version: 1, id: randomUUID(), name, created: new Date().toISOString(), persistent, owner: thisOwner(), namespace: place.store.namespace,
          via, families: chosen, from: { table: source.table, chain: source.chain, rules: source.selectors }, to: [port],
          mark: plan.mark, table: plan.table, state: 'setting-up', steps: [],
        }
        const context = { netns: place.netns, record, others, lock: place.lock }
        try {
          for (const step of plan.steps) {
            record.steps.push(step)
            place.store.write(record)
            await applyStep(step, context)
          }
          record.state = 'up'
          place.store.write(record)
        } catch (cause) {
          await undo(place.store, context, cause)
          throw cause
        }
        return new Mirror(record, place, !persistent)
      })
    } catch (error) {
      place.close()
      throw error
    }
  }

  /**
   * A mirror that was set up before, by whomever. Closing the handle leaves it as it is.
   * @throws NfkitError NFKIT_NO_SUCH_MIRROR, NFKIT_BAD_JOURNAL
   */
  static open(name: string, options: MirrorChangeOptions = {}): Mirror {
    checkMirrorName(name)
    checkKeys(options, CHANGE, 'options')
    const place = openPlace(options)
    try {
      const record = place.store.get(name)
      if (record === undefined) throw noSuchMirror(name)
      return new Mirror(record, place, false)
    } catch (error) {
      place.close()
      throw error
    }
  }

  /** The mirrors of a namespace by name, also what a crash left of one. Journals of a namespace that is gone are removed when met. */
  static list(options: MirrorPlace = {}): MirrorInfo[] {
    checkKeys(options, PLACE, 'options')
    const place = openPlace(options)
    try {
      place.store.sweep()
      const { records, damaged } = place.store.read()
      return [...records.map(infoOf), ...damaged.map(infoOfDamaged)].sort((a, b) => (a.name < b.name ? -1 : 1))
    } finally {
      place.close()
    }
  }

  /**
   * Undoes a mirror, whoever made it and however far that came. What others changed since is left alone.
   * @returns what became of each step, the last one first
   * @throws NfkitError NFKIT_NO_SUCH_MIRROR, NFKIT_BAD_JOURNAL, NFKIT_LOCK_TIMEOUT, EPERM; NFKIT_PARTIAL when a step could not be undone: it
   * stays in the journal, so that this can be tried again
   */
  static async remove(name: string, options: MirrorChangeOptions = {}): Promise<UndoneStep[]> {
    checkMirrorName(name)
    checkKeys(options, CHANGE, 'options')
    const place = openPlace(options)
    try {
      return await removeFrom(place, name)
    } finally {
      place.close()
    }
  }

  /** As the journal has it now. @throws NfkitError NFKIT_NO_SUCH_MIRROR once it is removed */
  info(): MirrorInfo {
    return infoOf(this.#record())
  }

  /**
   * What the kernel module counted since the mirror was set up, of IPv4 and IPv6 together.
   * @throws NfkitError NFKIT_MIRROR_RULE_GONE when its rules are not there any more, and the counters with them
   */
  stats(): CloneCounters {
    const { from } = this.#record()
    const counters = readCloneCounters(this.#place.netns.netns).get(this.mark)
    if (counters !== undefined) return counters
    throw new NfkitError('NFKIT_MIRROR_RULE_GONE', `mirror ${this.name}: no rule with its mark is left in ${from.table} ${from.chain}`, {
      hint: 'somebody has deleted it; remove the mirror and make it again',
    })
  }

  /**
   * Puts back what the kernel has deleted by itself: its routes, when the port was set down, or the loopback. Until then copies go nowhere, and
   * are counted as `unroutable`. Answers what was missing, in words.
   * @throws NfkitError ENETDOWN when the port is down, ENODEV when it is gone, NFKIT_NO_SUCH_MIRROR, NFKIT_LOCK_TIMEOUT, EPERM
   */
  repair(): Promise<string[]> {
    this.#requireOpen()
    const { store, netns, lock } = this.#place
    return store.locked(async () => {
      const record = this.#record()
      const context = { netns, record, others: [], lock }
      return record.steps.filter((step) => repairStep(step, context)).map(describeStep)
    })
  }

  /** Undoes the mirror, also a persistent one, and closes the handle. @throws as {@link Mirror.remove} */
  async remove(): Promise<UndoneStep[]> {
    this.#requireOpen()
    const undone = await removeFrom(this.#place, this.name, this.#id)
    this.#release()
    return undone
  }

  /**
   * Undoes the mirror if this handle made it and it is not persistent; else only lets go of the handle. Idempotent, and content when
   * somebody else has removed it.
   */
  async close(): Promise<void> {
    if (this.#closed) return
    if (this.#owned) {
      try {
        await removeFrom(this.#place, this.name, this.#id)
      } catch (error) {
        if (!(error instanceof NfkitError) || error.code !== 'NFKIT_NO_SUCH_MIRROR') throw error
      }
    }
    this.#release()
  }

  [Symbol.asyncDispose](): Promise<void> { return this.close() }

  [inspect.custom](): string {
    return `Mirror { name: '${this.name}', mark: 0x${this.mark.toString(16)}${this.#closed ? ', closed' : ''} }`
  }

  #record(): MirrorRecord {
    this.#requireOpen()
    const record = this.#place.store.get(this.name)
    if (record === undefined || record.id !== this.#id) throw noSuchMirror(this.name)
    return record
  }

  #requireOpen(): void {
    if (this.#closed) throw new NfkitError('NFKIT_CLOSED', `the handle of mirror ${this.name} is closed`)
  }

  #release(): void {
    this.#closed = true
    this.#place.close()
  }
}

/** A namespace, its journals, and how its tables are changed. */
interface Place {
  readonly netns: { readonly netns?: Netns | undefined }
  readonly store: JournalStore
  readonly lock: LockOptions | 'off'
  close(): void
}

/** Holds the namespace by itself: the caller's handle may be closed before the mirror is. */
function openPlace({ netns, journal, lock = {} }: MirrorChangeOptions): Place {
  if (journal !== undefined && (typeof journal !== 'string' || journal === '' || journal.includes('\0'))) throw invalidArgument('journal', 'the path of a directory', journal)
  checkLockOptions(lock)
  const own = netns === undefined ? undefined : Netns.open(netns instanceof Netns ? netns.path : netns)
  try {
    return { netns: { netns: own }, store: new JournalStore(own, journal), lock, close: () => own?.close() }
  } catch (error) {
    own?.close()
    throw error
  }
}

function onePort(to: unknown): string {
  const ports: readonly unknown[] = Array.isArray(to) ? to : [to]
  if (ports.length !== 1) throw outOfRange('to', 'one port, since policy routing leads to one', to)
  const [port] = ports
  if (typeof port !== 'string') throw invalidArgument('to', 'the name of the mirror port', port)
  checkLinkRef(port, 'to')
  return port
}

function freeName(others: readonly { name: string }[]): string {
  for (let i = 1; ; i++) if (!others.some(({ name }) => name === `mirror${i}`)) return `mirror${i}`
}

function noSuchMirror(name: string): NfkitError {
  return new NfkitError('NFKIT_NO_SUCH_MIRROR', `there is no mirror ${name} in this namespace`, { hint: 'Mirror.list() has those that there are' })
}

/** `id`: only if it is still that very one. */
function removeFrom({ store, netns, lock }: Place, name: string, id?: string): Promise<UndoneStep[]> {
  return store.locked(async () => {
    const record = store.get(name)
    if (record === undefined || (id !== undefined && record.id !== id)) throw noSuchMirror(name)
    const others = store.read().records.filter((other) => other.name !== name)
    record.state = 'removing'
    store.write(record)
    return undo(store, { netns, record, others, lock })
  })
}

/**
 * Undoes the steps of a record, the last one first, and deletes its journal. A step that cannot be undone stays in it, and the
 * others are undone all the same. `cause`: what failed before, if this is the undoing of a set-up.
 */
async function undo(store: JournalStore, context: StepContext, cause?: unknown): Promise<UndoneStep[]> {
  const { record } = context
  const undone: UndoneStep[] = []
  const failed: { step: string; error: unknown }[] = []
  for (const step of record.steps.slice().reverse()) {
    try {
      undone.push({ step: describeStep(step), result: await undoStep(step, context) })
      record.steps.splice(record.steps.indexOf(step), 1)
      store.write(record)
    } catch (error) {
      failed.push({ step: describeStep(step), error })
    }
  }
  if (failed.length > 0) {
    const why = failed.map(({ step, error }) => `${step} (${(error as Error).message})`).join(', ')
    throw new NfkitError('NFKIT_PARTIAL', `${cause === undefined ? '' : `${(cause as Error).message}; `}mirror ${record.name}: not undone: ${why}`, {
      cause: cause ?? failed[0]!.error, hint: `try again with Mirror.remove('${record.name}')`,
    })
  }
  store.delete(record.name)
  return undone
}

function infoOf(record: MirrorRecord): MirrorInfo {
  const { name, state, families, from, to, via, mark, table, persistent, owner, created, steps } = record
  const abandoned = (!persistent || state !== 'up') && !isAlive(owner)
  return { name, state, families, from, to, via, mark, table, persistent, abandoned, pid: owner.pid, created, steps: steps.map(describeStep) }
}

function infoOfDamaged({ name, problem }: DamagedJournal): MirrorInfo {
  return { name, state: 'damaged', problem }
}

