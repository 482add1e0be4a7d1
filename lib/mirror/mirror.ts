// SPDX-License-Identifier: MIT
// The mirror port in one call.

import { inspect } from 'node:util'
import { NfkitError } from '../errors.js'
import { checkKeys } from '../net/check.js'
import { setUp } from './create.js'
import { infoOf, infoOfDamaged, type MirrorInfo } from './info.js'
import { checkMirrorName } from './name.js'
import { type MirrorOptions, readOptions } from './options.js'
import { CHANGE_KEYS, type MirrorChangeOptions, type MirrorPlace, openPlace, type Place, PLACE_KEYS } from './place.js'
import { type MirrorChanges, readChanges, redefine } from './redefine.js'
import type { MirrorRecord } from './record.js'
import { type MirrorStats, statsOf } from './stats.js'
import { describeStep, repairStep } from './step.js'
import { noSuchMirror, removeFrom, type UndoneStep } from './undo.js'

/**
 * A mirror port: copies of the packets that a rule or hook selects leave by it, while the packets go on as without. Needs the kernel module (see
 * `KernelModule`) and CAP_NET_ADMIN in the namespace; for rules also legacy iptables tables, via `devices` access to /dev/nfkit, which is root's.
 *
 * Made in one call. Via `devices`, which is the default: a clone target with the ports, and a rule with `-j CLONE --target` or a hook that gives
 * packets to it. Via `reroute`: ARP is switched off on the port, a routing table of its own gets a default route to it and a blackhole behind that, a
 * policy rule before all others sends the mark of the copies there, and a rule with `-j CLONE --mark` makes them. All of that is undone by
 * {@link close}, or in reverse when a step fails; each step is in a journal before it is done, so that {@link Mirror.remove} undoes it also
 * after the process was killed.
 *
 *     await using mirror = await Mirror.create({ from: { chain: 'FORWARD', protocol: 'tcp' }, to: ['eth5', 'eth6'] })
 *     mirror.stats()
 */
export class Mirror implements AsyncDisposable {
  /** As it was given, or made up. */
  readonly name: string
  /** How copies get to the ports. */
  readonly via: 'devices' | 'reroute'
  /** Via `devices`: the name of its clone target. */
  readonly target: string | undefined
  /** Via `reroute`: the mark of the copies. */
  readonly mark: number | undefined
  /** Via `reroute`: the routing table. */
  readonly table: number | undefined
  readonly #id: string
  readonly #place: Place
  /** Whether closing undoes it. */
  readonly #owned: boolean
  #closed = false

  private constructor(record: MirrorRecord, place: Place, owned: boolean) {
    this.name = record.name
    this.via = record.via
    this.target = record.via === 'devices' ? record.target : undefined
    this.mark = record.via === 'reroute' ? record.mark : undefined
    this.table = record.via === 'reroute' ? record.table : undefined
    this.#id = record.id
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
    const request = readOptions(options)
    const place = openPlace(options)
    try {
      return new Mirror(await setUp(request, place), place, !request.persistent)
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
    checkKeys(options, CHANGE_KEYS, 'options')
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
    checkKeys(options, PLACE_KEYS, 'options')
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
    checkKeys(options, CHANGE_KEYS, 'options')
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
   * What the kernel module counted since the mirror was set up, of IPv4 and IPv6 together, and by port. `bytes` are counted via `devices` alone.
   * @throws NfkitError NFKIT_MIRROR_RULE_GONE when its rules or its hook are not there any more
   */
  stats(): MirrorStats {
    return statsOf(this.#record(), this.#place.netns)
  }

  /**
   * Changes ports and limits while packets pass, without touching the rule or the hook; what is not given stays. Counters go on, those of a port
   * as long as it is one. Copies that wait are dropped, and counted as `flushed`.
   * @throws TypeError, RangeError; NfkitError ENODEV and NFKIT_MIRROR_PORT for a port, EOPNOTSUPP for a mirror via `reroute`,
   * NFKIT_NO_SUCH_MIRROR, NFKIT_LOCK_TIMEOUT, EPERM; ENOENT when somebody has deleted the clone target, see {@link repair}
   */
  async set(changes: MirrorChanges): Promise<void> {
    const wanted = readChanges(changes)
    this.#requireOpen()
    const { store, netns } = this.#place
    await store.locked(async () => redefine(this.#record(), wanted, store, netns))
  }

  /**
   * Puts back what is missing. Via `reroute`: the routes that the kernel deletes when the port, or the loopback, is set down; until then copies go
   * nowhere, and are counted as `unroutable`. Via `devices`: the clone target and the hook, if somebody has deleted them; the kernel does not.
   * Answers what was missing, in words.
   * @throws NfkitError ENETDOWN when the port is down, ENODEV when it is gone, NFKIT_NO_SUCH_MIRROR, NFKIT_LOCK_TIMEOUT, EPERM
   */
  async repair(): Promise<string[]> {
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
    const by = this.mark === undefined ? `target: '${this.target}'` : `mark: 0x${this.mark.toString(16)}`
    return `Mirror { name: '${this.name}', ${by}${this.#closed ? ', closed' : ''} }`
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
