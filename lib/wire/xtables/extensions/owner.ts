// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, type Resolver, RuleError } from '../payload.js'
import { bit, flag, type Not, parseUnsigned, property, type Property, type PropertyType, requireInteger } from '../property.js'

/** Numbers from one to another, both included. */
export type IdRange = [from: number, to: number]

/**
 * `-m owner` revision 1 (xt_owner_match_info, include/uapi/linux/netfilter/xt_owner.h): whose socket a packet of this machine comes
 * from. At least one must be there. OUTPUT and POSTROUTING only.
 */
export interface OwnerMatch {
  /** There is a socket at all. */
  socketExists?: true | Not<true>
  /** Number from 0 to 4294967294, a range of them, or the name of a user. */
  uid?: number | IdRange | string | Not<number | IdRange | string>
  /** As `uid`, of groups. */
  gid?: number | IdRange | string | Not<number | IdRange | string>
  /** `gid` can also be one of the supplementary groups (Linux 5.3). */
  supplementaryGroups?: boolean
}

declare module '../extension.js' {
  interface Matches { owner: OwnerMatch }
}

const MATCH = 16
const INVERT = 17
const FLAG = { uid: 1, gid: 2, socket: 4, supplementary: 8 } as const
/** -1 is no id. */
const MOST = 0xfffffffe

function ids(at: number, what: 'user' | 'group', numberOf: (resolver: Resolver, name: string) => number | undefined): PropertyType<number | IdRange | string> {
  const put = (p: Payload, from: number, to: number) => {
    p.setU32(at, from)
    p.setU32(at + 4, to)
  }
  return {
    decode: (p) => (p.u32(at) === p.u32(at + 4) ? p.u32(at) : [p.u32(at), p.u32(at + 4)]),
    encode(p, value, name, { resolver }) {
      if (Array.isArray(value)) {
        if (value.length !== 2) throw invalidArgument(name, 'a pair of numbers [from, to]', value)
        value.forEach((one, i) => requireInteger(one, `${name}[${i}]`, 0, MOST))
        if (value[0] > value[1]) throw outOfRange(name, 'a range that does not run backwards', value.join('-'))
        return put(p, value[0], value[1])
      }
      const id = typeof value === 'string' ? numberOf(resolver, value) : value
      if (id === undefined) throw outOfRange(name, `the name of a ${what}`, value)
      requireInteger(id, name, 0, MOST)
      put(p, id, id)
    },
    parse(p, text, option, { resolver }) {
      const named = numberOf(resolver, text)
      const parts = named === undefined ? /^([^-:]*)(?:[-:](.*))?$/.exec(text) : null
      const from = named ?? parseUnsigned(parts?.[1] ?? '', 0, MOST)
      const to = parts?.[2] === undefined ? from : parseUnsigned(parts[2], 0, MOST)
      if (from === undefined || to === undefined) {
        throw new RuleError(`${option}: expected a ${what}, a number from 0 to ${MOST} or a range from-to, got "${text}"`)
      }
      if (from > to) throw new RuleError(`${option}: the range ${text} runs backwards`)
      put(p, from, to)
    },
    print: (p) => (p.u32(at) === p.u32(at + 4) ? String(p.u32(at)) : `${p.u32(at)}-${p.u32(at + 4)}`),
  }
}

const one = <T>(key: string, option: string, mask: number, type: PropertyType<T>, more: { arguments?: 0 } = {}): Property =>
  property({ key, options: [option], type, present: bit(MATCH, mask), invert: bit(INVERT, mask), ...more })

const supplementary = flag(bit(MATCH, FLAG.supplementary))

registerExtension({
  kind: 'match', name: 'owner', revision: 1, size: 20, hooks: ['OUTPUT', 'POSTROUTING'],
  oneOf: ['uid', 'gid', 'socketExists'],
  properties: [
    one('socketExists', '--socket-exists', FLAG.socket, flag(bit(MATCH, FLAG.socket)), { arguments: 0 }),
    one('uid', '--uid-owner', FLAG.uid, ids(0, 'user', (resolver, name) => resolver.userId(name))),
    one('gid', '--gid-owner', FLAG.gid, ids(8, 'group', (resolver, name) => resolver.groupId(name))),
    property({
      key: 'supplementaryGroups', options: ['--suppl-groups'], arguments: 0, requires: ['gid'],
      type: {
        ...supplementary,
        parse(p, text, option, ctx) {
          if ((p.u8(MATCH) & FLAG.gid) === 0) throw new RuleError(`${option} needs --gid-owner before it`)
          supplementary.parse(p, text, option, ctx)
        },
      },
    }),
  ],
})
