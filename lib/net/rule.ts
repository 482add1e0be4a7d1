// SPDX-License-Identifier: MIT
// Policy rules, which say what table a packet's route is looked up in: list, add, replace, delete, watch.

import { Errno } from '../errno.js'
import { invalidArgument, NfkitError } from '../errors.js'
import type { Watch } from '../events.js'
import { rtm, withRoute } from '../netlink/route.js'
import type { DumpOptions, NetlinkSocket } from '../netlink/socket.js'
import { type Change, type ObjectWatchOptions, textWithout, watchObjects } from '../netlink/watch.js'
import type { IpFamily } from '../wire/ip.js'
import { NLM_F_CREATE, NLM_F_EXCL } from '../wire/netlink.js'
import { familyName, familyNumber, Rtm, RtnlGroup } from '../wire/rtnetlink.js'
import { decodeRule, encodeRule, ruleActions, ruleShape } from '../wire/rule.js'
import { checkBoolean, checkKeys } from './check.js'
import type { NetnsOption } from './link-ref.js'
import { type RuleInfo, ruleInfo } from './rule-info.js'
import { newRule, requestOf, RULE_SPEC, type RuleRequest, type RuleSpec } from './rule-request.js'

export type { RuleInfo } from './rule-info.js'
export type { RuleSpec } from './rule-request.js'

/** Sends the result of a change to the one who asked for it, too. */
const NLM_F_ECHO = 0x8

/** The rules of a namespace, IPv4 first, in the order in which they are looked at. Needs no privilege. */
export function list(options: NetnsOption & DumpOptions & { family?: IpFamily | undefined } = {}): RuleInfo[] {
  checkKeys(options, ['netns', 'partial', 'family'], 'options')
  if (options.family !== undefined) familyNumber(options.family)
  return withRoute(options.netns, (socket) => dump(socket, options.family, options))
}

/**
 * Adds a rule behind those of the same priority; answers it as the kernel has it. Needs CAP_NET_ADMIN.
 * @param options `duplicate`: also when there is the very same, which then is there twice
 * @throws TypeError, RangeError before anything is done
 * @throws NfkitError EEXIST when there is the very same, EINVAL for a `goto` that leads back, EOPNOTSUPP, EPERM
 */
export function add(spec: RuleSpec, options: NetnsOption & { duplicate?: boolean | undefined } = {}): RuleInfo {
  const request = newRule(spec)
  checkBoolean(options.duplicate, 'duplicate')
  return withRoute(options.netns, (socket) => {
    checkKnown(socket, request)
    if (options.duplicate === true) return create(socket, request, 0)
    try {
      return create(socket, request, NLM_F_EXCL)
    } catch (error) {
      // The kernel also takes a narrower rule for the same (rule_exists with fib4_rule_compare, net/ipv4/fib_rules.c).
      if (!(error instanceof NfkitError) || error.code !== 'EEXIST' || exists(socket, request)) throw error
      return create(socket, request, 0)
    }
  })
}

/**
 * Puts a rule in the place of all others of its family and priority; answers it as the kernel has it. The new one is there
 * before the first old one goes, so that there is no moment without a rule. Needs CAP_NET_ADMIN.
 * @throws TypeError without a priority; NfkitError as {@link add}, and EPERM for rules that cannot be deleted
 */
export function replace(spec: RuleSpec & { priority: number }, options: NetnsOption = {}): RuleInfo {
  const request = newRule(spec)
  if (spec.priority === undefined) throw invalidArgument('priority', 'the priority of the rules to replace', spec.priority)
  const family = familyName(request.family)!
  return withRoute(options.netns, (socket) => {
    checkKnown(socket, request)
    const before = dump(socket, family).filter((rule) => rule.priority === spec.priority)
    if (before.some(({ flags }) => flags.includes('permanent'))) {
      const hint = 'the kernel keeps this rule for good'
      throw NfkitError.fromErrno(Errno.EPERM, 'RTM_DELRULE', `replacing rule ${spec.priority}`, { hint })
    }
    const made = create(socket, request, 0)
    let gone = 0
    try {
      // In their order: a request meets the first rule that it fits, so each of these meets its own and never the new one, the last.
      for (const rule of before) {
        destroy(socket, requestOf(rule))
        gone++
      }
    } catch (cause) {
      try {
        for (const rule of before) create(socket, newRule(rule), 0)
        for (const rule of [...before.slice(gone), made]) destroy(socket, requestOf(rule))
      } catch (error) {
        const why = `${(cause as Error).message}; taking the rest back failed too: ${(error as Error).message}`
        throw new NfkitError('NFKIT_PARTIAL', why, { cause })
      }
      throw cause
    }
    return made
  })
}

/**
 * Deletes the first rule that is as told; what is left out can be anything. Needs CAP_NET_ADMIN.
 * @throws TypeError when nothing is told but the family: the first rule of all is that of the local table
 * @throws NfkitError ENOENT when there is none, EPERM when it cannot be deleted
 */
function remove(spec: RuleSpec, options: NetnsOption = {}): void {
  const request = requestOf(spec)
  if (RULE_SPEC.every((key) => key === 'family' || spec[key as keyof RuleSpec] === undefined || spec[key as keyof RuleSpec] === false)) {
    throw invalidArgument('rule', 'something that tells which rule, its priority for example', spec)
  }
  withRoute(options.netns, (socket) => deleteRule(socket, request))
}
export { remove as delete }

/** Throws the TypeError or RangeError of a rule that cannot be added. Asks nobody. @internal */
export function checkRule(spec: RuleSpec): void {
  newRule(spec)
}

/** What {@link watch} emits: see {@link Change}. Rules are not changed, only added and removed. */
export type RuleChange = Change<'rule', RuleInfo>

/** Watches the rules of a namespace from this call on. Needs no privilege. */
export function watch(options: ObjectWatchOptions & { family?: IpFamily | undefined } = {}): Watch<RuleChange> {
  checkKeys(options, ['netns', 'resync', 'signal', 'maxQueue', 'family'], 'options')
  const { family } = options
  if (family !== undefined) familyNumber(family)
  const essence = (rule: RuleInfo) => textWithout(rule, FLAGS)
  return watchObjects<'rule', RuleInfo>({
    name: 'rule',
    groups: (family === undefined ? ['ipv4', 'ipv6'] as const : [family]).map((one) => RtnlGroup[`${one}Rule`]),
    dump: (socket) => dump(socket, family),
    key: essence,
    shared: true,
    essence,
    read(input, msg) {
      if (msg.type !== Rtm.RTM_NEWRULE && msg.type !== Rtm.RTM_DELRULE) return undefined
      const item = ruleInfo(decodeRule(input, msg))
      if (item === undefined) return undefined
      // The very same rule can be there twice, so that only a list tells whether it is gone.
      return msg.type === Rtm.RTM_NEWRULE ? { is: 'there', item } : { is: 'unclear' }
    },
  }, options)
}

/** Whether links exist, which the kernel does not announce. */
const FLAGS = new Set(['flags'])

function dump(socket: NetlinkSocket, family?: IpFamily, options?: DumpOptions): RuleInfo[] {
  return (family === undefined ? ['ipv4', 'ipv6'] as const : [family]).flatMap((one) => socket.dump<RuleInfo>(
    rtm('RTM_GETRULE', { write: (w) => encodeRule(w, { family: familyNumber(one) }), doing: 'listing rules', shape: ruleShape }),
    (input, msg, into) => {
      const info = ruleInfo(decodeRule(input, msg))
      if (info?.family === one) into.push(info)
    },
    options,
  ))
}

/** Whether there is a rule that is exactly as asked. */
function exists(socket: NetlinkSocket, request: RuleRequest): boolean {
  const asked = ruleInfo({ toLength: 0, fromLength: 0, tos: 0, table: 0, action: 0, flags: 0, attributes: {}, ...request })!
  return dump(socket, asked.family).some((rule) => {
    // What the kernel fills in where it is not told.
    const implied = {
      fwmask: rule.fwmark === undefined ? undefined : 0xffffffff, sourcePortMask: 0xffff, destinationPortMask: 0xffff, dscpMask: 63,
      flowLabelMask: 0xfffff,
    }
    return RULE_SPEC.every((key) => {
      if (key === 'priority' && request.attributes?.priority === undefined) return true
      const [there, wanted] = [rule[key as keyof RuleInfo], asked[key as keyof RuleInfo] ?? implied[key as keyof typeof implied]]
      return JSON.stringify(there) === JSON.stringify(wanted) || (there === undefined && asked[key as keyof RuleInfo] === undefined)
    })
  })
}

function create(socket: NetlinkSocket, request: RuleRequest, flags: number): RuleInfo {
  let made: RuleInfo | undefined
  const { priority } = request.attributes ?? {}
  socket.request(rtm('RTM_NEWRULE', {
    flags: NLM_F_CREATE | NLM_F_ECHO | flags,
    write: (w) => encodeRule(w, request),
    doing: priority === undefined ? 'adding a rule' : `adding rule ${priority}`,
    shape: ruleShape,
  }), (input, msg) => { if (msg.type === Rtm.RTM_NEWRULE) made = ruleInfo(decodeRule(input, msg)) })
  if (made === undefined) throw new NfkitError('EBADMSG', 'adding a rule: the kernel did not say which')
  return made
}

/** What came after Linux 6.1. A kernel that does not know an attribute passes over it, and the rule would be about too much. */
const RECENT = ['dscp', 'dscpMask', 'flowLabel', 'flowLabelMask', 'sourcePortMask', 'destinationPortMask'] as const

/** Asks the kernel by a rule that does nothing. */
function checkKnown(socket: NetlinkSocket, { family, attributes = {} }: RuleRequest): void {
  const asked = RECENT.filter((key) => attributes[key] !== undefined)
  if (asked.length === 0) return
  const { sourcePorts, destinationPorts, ipProtocol } = attributes
  const probe = {
    family,
    action: ruleActions.number('nop', 'action'),
    attributes: {
      priority: 0xffffffff,
      ...(sourcePorts === undefined ? {} : { sourcePorts }), ...(destinationPorts === undefined ? {} : { destinationPorts }),
      ...(ipProtocol === undefined ? {} : { ipProtocol }),
      ...Object.fromEntries(asked.map((key) => [key, attributes[key]])),
    },
  }
  const made = create(socket, probe, 0)
  destroy(socket, probe)
  const missing = asked.filter((key) => made[key] === undefined)
  if (missing.length > 0) {
    throw new NfkitError('NFKIT_KERNEL_TOO_OLD', `adding a rule: this kernel does not know ${missing.join(', ')}`, {
      syscall: 'RTM_NEWRULE', attribute: missing[0]!,
    })
  }
}

function deleteRule(socket: NetlinkSocket, request: RuleRequest): void {
  const { priority } = request.attributes ?? {}
  const doing = priority === undefined ? 'deleting a rule' : `deleting rule ${priority}`
  socket.request(rtm('RTM_DELRULE', { write: (w) => encodeRule(w, request), doing, shape: ruleShape }))
}

/** As {@link deleteRule}, content when somebody else was faster. */
function destroy(socket: NetlinkSocket, request: RuleRequest): void {
  try {
    deleteRule(socket, request)
  } catch (error) {
    if (!(error instanceof NfkitError) || error.code !== 'ENOENT') throw error
  }
}
