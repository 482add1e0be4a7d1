// SPDX-License-Identifier: MIT
// Hooks as the module's character device takes and tells them.

import { NfkitError } from '../../errors.js'
import { type BpfInstruction, decodeInstructions, encodeInstructions, INSTRUCTION_SIZE } from '../bpf/instruction.js'
import type { IpFamily } from '../ip.js'
import type { LinkType } from '../packet-match/field.js'
import type { MaskedNumber } from '../packet-match/values.js'
import { FAMILY, HOOK_FLAG, LINK, OWN, VERDICT } from './constants.js'
import { HOOK_POINTS, type HookPoint, hookPointOf } from './hook-points.js'
import { Struct } from './layout.js'
import { HOOK_GET, HOOK_SET, HOOK_STATS } from './structs.js'

/** What becomes of packets that match. */
export type HookVerdict =
  /** The next hook sees the packet. */
  | 'accept'
  | 'drop'
  /**
   * The packet goes into the clone target of this name instead of on its way: to every sink, without sampling and limits. What none
   * takes is accepted, or dropped if `onFail` says so.
   */
  | { redirect: string; onFail?: 'accept' | 'drop' }
  /**
   * It waits for a program's verdict in the NFQUEUE queue of this number, 0 to 65535 (PacketQueue). With `bypass` it is accepted while no program
   * listens, else dropped.
   */
  | { queue: number; bypass?: boolean }
  /** The mark is set and the packet matched again, at most so many times (1 to 16) as long as it matches; then it is accepted. */
  | { repeat: number }

/** A program that says which packets match. */
export interface HookProgram {
  /** What its data begins with. */
  link: LinkType
  /** Up to 4096; a packet matches when they answer anything but 0. */
  instructions: BpfInstruction[]
  /** Its answer 0xfffffffe means that it cannot decide (NFKIT_BPF_UNDECIDED). */
  undecided: boolean
}

/** A hook. */
export interface HookConfig {
  /** The hook point. */
  at: HookPoint
  /** Of the packets, at the points of IPv4 and IPv6; null: both, and at other points. */
  family: IpFamily | null
  /** Hooks of a point are met in the order of this, NF_IP_PRI_* (include/uapi/linux/netfilter_ipv4.h): 0 is that of the table filter. */
  priority: number
  /** Name of the device that packets came by; null: any. */
  in: string | null
  /** Name of the device that they leave by; null: any. */
  out: string | null
  /** Name of the port of a bridge that they came by; null: any. */
  physIn: string | null
  /** Name of the port of a bridge that they leave by; null: any. */
  physOut: string | null
  /** What becomes of those that match. */
  verdict: HookVerdict
  /** What packets that match get: (mark & ~mask) ^ value; null: the mark stays. */
  mark: MaskedNumber | null
  /** Name of the clone target that gets packets that match; null: none. */
  clone: string | null
  /** Which packets match; null: every one. */
  program: HookProgram | null
}

/** What a hook did: struct nfkit_hook_stats (kmod/uapi/nfkit_hook.h). The kernel counts in 64 bits: above 2^53 the last digits are not exact. */
export interface HookStats {
  /** Packets that came by, with the hook's devices. */
  seen: number
  /** Packets that matched. */
  matched: number
  /** Their length in bytes, from the header on that the point sees. */
  bytes: number
  /** Packets without the header that the program begins with; they do not match. */
  noHeader: number
  /** Packets on which the program could not decide; they do not match. */
  undecided: number
  /** Packets that matched and went on. */
  accepted: number
  /** Packets that matched and were dropped. */
  dropped: number
  /** Taken by the clone target of the verdict. */
  redirected: number
  /** Not taken by it; also counted as accepted or dropped. */
  notTaken: number
  /** Given to the queue of the verdict. */
  queued: number
  /** How often packets were matched again. */
  repeated: number
  /** Packets that still matched after that; also counted as accepted. */
  unfinished: number
  /** No route after a new mark at `local-out`; also counted as dropped. */
  unroutable: number
  /** Nothing could be done with the packet for want of memory; it does not match. */
  noMemory: number
}

/** A hook as it is, and what it did. */
export interface HookState extends HookConfig, HookStats {
  /** What it is called. */
  name: string
  /** It stays when its handle is closed. */
  persistent: boolean
  /** It belongs to the handle that asks. */
  own: boolean
}

const COUNTERS: Readonly<Record<keyof HookStats, keyof typeof HOOK_STATS.fields>> = {
  seen: 'seen', matched: 'matched', bytes: 'bytes', noHeader: 'no_header', undecided: 'undecided', accepted: 'accepted', dropped: 'dropped',
  redirected: 'redirected', notTaken: 'not_taken', queued: 'queued', repeated: 'repeated', unfinished: 'unfinished', unroutable: 'unroutable', noMemory: 'no_memory',
}

const DEVICES = { in: 'in', out: 'out', physIn: 'physin', physOut: 'physout' } as const
type DeviceKey = keyof typeof DEVICES

/** The struct and the array that it points to. */
export function encodeHookSet(name: string, config: HookConfig, flags: { persistent: boolean; create: boolean }): { set: Uint8Array; instructions: Uint8Array } {
  const { at, family, priority, mark, clone, program, verdict } = config
  const { number, families } = HOOK_POINTS[at]
  const set = new Struct(HOOK_SET).set('size', HOOK_SET.size).setText('name', name)
  let bits = (flags.persistent ? HOOK_FLAG.persistent : 0) | (flags.create ? HOOK_FLAG.create : 0)
  set.set('point', number).set('family', !families ? 0 : family === null ? FAMILY.ipv4 | FAMILY.ipv6 : FAMILY[family]).set('priority', priority)
  for (const [key, field] of Object.entries(DEVICES)) set.setText(field, config[key as DeviceKey] ?? '')
  if (mark !== null) {
    bits |= HOOK_FLAG.mark
    set.set('mark', mark.value).set('mark_mask', mark.mask)
  }
  if (clone !== null) set.setText('target', clone)
  bits |= encodeVerdict(set, verdict)
  if (program !== null) {
    if (program.undecided) bits |= HOOK_FLAG.undecided
    set.set('link', LINK[program.link]).set('instruction_count', program.instructions.length)
  }
  return { set: set.set('flags', bits).bytes, instructions: encodeInstructions(program?.instructions ?? []) }
}

/** Answers the flags. */
function encodeVerdict(set: Struct<keyof typeof HOOK_SET.fields>, verdict: HookVerdict): number {
  if (typeof verdict === 'string') {
    set.set('verdict', VERDICT[verdict])
    return 0
  }
  if ('redirect' in verdict) {
    set.set('verdict', VERDICT.redirect).setText('target', verdict.redirect)
    return verdict.onFail === 'drop' ? HOOK_FLAG.failDrop : 0
  }
  if ('queue' in verdict) {
    set.set('verdict', VERDICT.queue).set('queue', verdict.queue)
    return verdict.bypass === true ? HOOK_FLAG.bypass : 0
  }
  set.set('verdict', VERDICT.repeat).set('repeat', verdict.repeat)
  return 0
}

/** Room for the answer to a question about a hook, and for so many instructions. */
export function encodeHookGet(name: string, room: number): { get: Uint8Array; instructions: Uint8Array } {
  const get = new Struct(HOOK_GET)
  get.within('hook', HOOK_SET).set('size', HOOK_GET.size).setText('name', name).set('instruction_count', room)
  return { get: get.bytes, instructions: new Uint8Array(room * INSTRUCTION_SIZE) }
}

/** The counters in an answer, which needs no room for instructions. */
export function decodeHookStats(get: Uint8Array): HookStats {
  const stats = new Struct(HOOK_GET, get).within('stats', HOOK_STATS)
  return Object.fromEntries(Object.entries(COUNTERS).map(([key, field]) => [key, stats.get(field)])) as unknown as HookStats
}

/** How many instructions the hook of an answer has, which can be more than there was room for. */
export function instructionCountOf(get: Uint8Array): number {
  return new Struct(HOOK_GET, get).within('hook', HOOK_SET).get('instruction_count')
}

/**
 * The answer.
 * @throws NfkitError EBADMSG for a point, verdict or link type that is not known here: the module is newer
 */
export function decodeHookGet(getBytes: Uint8Array, instructions: Uint8Array): HookState {
  const set = new Struct(HOOK_GET, getBytes).within('hook', HOOK_SET)
  const flags = set.get('flags')
  const has = (bit: number) => (flags & bit) !== 0
  const count = Math.min(set.get('instruction_count'), instructions.length / INSTRUCTION_SIZE)
  const family = set.get('family')
  const verdict = decodeVerdict(set, flags)
  const target = set.text('target')
  const redirects = typeof verdict === 'object' && 'redirect' in verdict
  return {
    name: set.text('name'), persistent: has(HOOK_FLAG.persistent), own: has(OWN),
    at: hookPointOf(set.get('point')) ?? unknown('hook point', set.get('point')),
    family: family === FAMILY.ipv4 ? 'ipv4' : family === FAMILY.ipv6 ? 'ipv6' : null,
    priority: set.get('priority') | 0,
    ...Object.fromEntries(Object.entries(DEVICES).map(([key, field]) => [key, set.text(field) || null])) as Record<DeviceKey, string | null>,
    verdict,
    mark: has(HOOK_FLAG.mark) ? { value: set.get('mark'), mask: set.get('mark_mask') } : null,
    clone: redirects || target === '' ? null : target,
    program: set.get('instruction_count') === 0
      ? null
      : { link: linkOf(set.get('link')), instructions: decodeInstructions(instructions.subarray(0, count * INSTRUCTION_SIZE)), undecided: has(HOOK_FLAG.undecided) },
    ...decodeHookStats(getBytes),
  }
}

function decodeVerdict(set: Struct<keyof typeof HOOK_SET.fields>, flags: number): HookVerdict {
  switch (set.get('verdict')) {
    case VERDICT.accept: return 'accept'
    case VERDICT.drop: return 'drop'
    case VERDICT.redirect: return { redirect: set.text('target'), onFail: (flags & HOOK_FLAG.failDrop) === 0 ? 'accept' : 'drop' }
    case VERDICT.queue: return { queue: set.get('queue'), bypass: (flags & HOOK_FLAG.bypass) !== 0 }
    case VERDICT.repeat: return { repeat: set.get('repeat') }
    default: return unknown('verdict', set.get('verdict'))
  }
}

function linkOf(number: number): LinkType {
  return number === LINK.RAW ? 'RAW' : number === LINK.EN10MB ? 'EN10MB' : unknown('link type', number)
}

function unknown(what: string, number: number): never {
  throw new NfkitError('EBADMSG', `the module tells of a ${what} ${number}, which this version of nfkit does not know`)
}
