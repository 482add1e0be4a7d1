// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension, requireHook } from '../extension.js'
import { parseProtocol } from '../fixed.js'
import { hostMask } from '../host-mask.js'
import { type Payload, type RuleContext, RuleError } from '../payload.js'
import { bit, choice, flag, integer, isNot, type Not, property, type Property, type PropertyType, spelling } from '../property.js'

export type PolicyProtocol = 'esp' | 'ah' | 'ipcomp'
const PROTOCOLS: Readonly<Record<PolicyProtocol, number>> = { esp: 50, ah: 51, ipcomp: 108 }

/** What is compared of one transformation. */
export interface PolicyElement {
  /** Number that ties state and policy together, 0 to 4294967295. */
  reqid?: number | Not<number>
  /**
   * Security parameter index, 0 to 4294967295. iptables writes it in this machine's byte order and the kernel compares it with the
   * packet's in network order: where the two differ, 0x01020304 matches 0x04030201.
   */
  spi?: number | Not<number>
  protocol?: PolicyProtocol | Not<PolicyProtocol>
  mode?: 'transport' | 'tunnel' | Not<'transport' | 'tunnel'>
  /** Ends of the tunnel, each an address with a prefix length or mask; only with `mode: 'tunnel'`. */
  tunnelDestination?: string | Not<string>
  tunnelSource?: string | Not<string>
}

/** `-m policy` (xt_policy_info, include/uapi/linux/netfilter/xt_policy.h): what IPsec did or will do with the packet. */
export interface PolicyMatch {
  /** Done to a packet that came in (PREROUTING, INPUT, FORWARD), or to be done to one that goes out (FORWARD, OUTPUT, POSTROUTING). */
  direction: 'in' | 'out'
  /** `ipsec` unless told. */
  policy?: 'ipsec' | 'none'
  /** All transformations are those of `elements`; else one of them is the only element. */
  strict?: boolean
  /** 1 to 4; more than one only with `strict`. */
  elements?: PolicyElement[]
}

declare module '../extension.js' {
  interface Matches { policy: PolicyMatch }
}

const MOST = 4
const ELEMENT_SIZE = 76
const FLAGS = 304
/** Until the end one less: the number of `--next`. */
const LENGTH = 306
const FLAG = { in: 1, out: 2, none: 4, strict: 8 } as const
const MATCH = 74
const INVERT = 75
const TUNNEL = 1

const has = (p: Payload, bits: number) => (p.u16(FLAGS) & bits) !== 0
const set = (p: Payload, bits: number) => p.setU16(FLAGS, p.u16(FLAGS) | bits)

/** A part of an element at the beginning of one. */
interface Field {
  readonly key: keyof PolicyElement
  readonly option: string
  /** In the sets of what is compared and what is inverted. */
  readonly mask: number
  readonly type: PropertyType<never>
}

function protocol(at: number): PropertyType<PolicyProtocol> {
  const names = choice({ offset: at, width: 1 }, PROTOCOLS)
  return {
    ...names,
    parse(p, text, option, { resolver }) {
      const number = parseProtocol(text, resolver)
      if (!Object.values<number | undefined>(PROTOCOLS).includes(number)) throw new RuleError(`${option}: expected ah, esp or ipcomp, got "${text}"`)
      p.setU8(at, number!)
    },
    print: (p, { resolver }) => resolver.protocolName(p.u8(at)) ?? String(p.u8(at)),
  }
}

/** In the order in which they are printed. */
function fieldsAt(at: number): Field[] {
  const field = <T>(key: keyof PolicyElement, option: string, mask: number, type: PropertyType<T>): Field => ({ key, option, mask, type: type as unknown as PropertyType<never> })
  const mode = choice({ offset: at + 73, width: 1 }, { transport: 0, tunnel: TUNNEL })
  return [
    field('reqid', '--reqid', 1 << 5, integer({ offset: at + 68, width: 4 })),
    field('spi', '--spi', 1 << 4, integer({ offset: at + 64, width: 4 }, 'hex')),
    field('protocol', '--proto', 1 << 2, protocol(at + 72)),
    field('mode', '--mode', 1 << 3, mode),
    field('tunnelDestination', '--tunnel-dst', 1 << 1, hostMask(at + 32, at + 48)),
    field('tunnelSource', '--tunnel-src', 1 << 0, hostMask(at, at + 16)),
  ]
}

const ELEMENTS = Array.from({ length: MOST }, (_, i) => ({ at: i * ELEMENT_SIZE, fields: fieldsAt(i * ELEMENT_SIZE) }))

const compared = (p: Payload, at: number) => p.u8(at + MATCH)
const give = (p: Payload, at: number, mask: number) => p.setU8(at + MATCH, compared(p, at) | mask)
const invert = (p: Payload, at: number, mask: number) => p.setU8(at + INVERT, p.u8(at + INVERT) | mask)

const elements: PropertyType<PolicyElement[]> = {
  decode(p, ctx) {
    // Without a policy there can still be one that nobody looks at.
    const list = ELEMENTS.slice(0, Math.max(p.u16(LENGTH), 1)).map(({ at, fields }) => {
      const element: Record<string, unknown> = {}
      for (const { key, mask, type } of fields) {
        if ((compared(p, at) & mask) === 0) continue
        const value: unknown = type.decode(p, ctx)
        if (value !== undefined) element[key] = (p.u8(at + INVERT) & mask) !== 0 ? { not: value } : value
      }
      return element as PolicyElement
    })
    return list.length === 1 && Object.keys(list[0]!).length === 0 ? undefined : list
  },
  encode(p, value, name, ctx) {
    if (!Array.isArray(value)) throw invalidArgument(name, 'a list of elements', value)
    if (value.length < 1 || value.length > MOST) throw outOfRange(name, `1 to ${MOST} elements`, value.length)
    value.forEach((element: unknown, i) => {
      const { at, fields } = ELEMENTS[i]!
      if (typeof element !== 'object' || element === null) throw invalidArgument(`${name}[${i}]`, `an object with some of ${fields.map(({ key }) => key).join(', ')}`, element)
      for (const [key, given] of Object.entries(element) as [string, unknown][]) {
        const field = fields.find((one) => one.key === key)
        if (given === undefined) continue
        if (field === undefined) throw invalidArgument(`${name}[${i}]`, `some of ${fields.map((one) => one.key).join(', ')}`, key)
        if (isNot(given)) invert(p, at, field.mask)
        field.type.encode(p, (isNot(given) ? given.not : given) as never, `${name}[${i}].${key}`, ctx)
        give(p, at, field.mask)
      }
    })
    p.setU16(LENGTH, value.length - 1)
  },
  parse: () => {},
  print: () => '',
}

/** The options of the element that is being read. */
const options: Property[] = ELEMENTS[0]!.fields.map(({ option, mask }, index) => property({
  key: 'elements', options: [option], alias: true, repeatable: true,
  invert: { get: () => false, set: (p) => invert(p, p.u16(LENGTH) * ELEMENT_SIZE, mask) },
  type: spelling((p, text, name, ctx) => {
    const { at, fields } = ELEMENTS[p.u16(LENGTH)]!
    if ((compared(p, at) & mask) !== 0) throw new RuleError(`${name} cannot be given twice for one element`)
    fields[index]!.type.parse(p, text, name, ctx)
    give(p, at, mask)
  }),
}))

const next = spelling((p) => {
  if (p.u16(LENGTH) + 1 === MOST) throw new RuleError(`policy: at most ${MOST} elements`)
  p.setU16(LENGTH, p.u16(LENGTH) + 1)
})

const directions = { in: FLAG.in, out: FLAG.out }
const direction: PropertyType<'in' | 'out'> = {
  decode: (p) => (has(p, FLAG.in) ? 'in' : 'out'),
  encode(p, value, name) {
    if (!Object.hasOwn(directions, value)) throw invalidArgument(name, 'in or out', value)
    set(p, directions[value])
  },
  parse(p, text, option) {
    if (!Object.hasOwn(directions, text)) throw new RuleError(`${option}: expected in or out, got "${text}"`)
    set(p, directions[text as 'in'])
  },
  print: (p) => (has(p, FLAG.in) ? 'in' : 'out'),
}

const policy: PropertyType<'ipsec' | 'none'> = {
  decode: (p) => (has(p, FLAG.none) ? 'none' : 'ipsec'),
  encode(p, value, name) {
    if (value !== 'ipsec' && value !== 'none') throw invalidArgument(name, 'ipsec or none', value)
    if (value === 'none') set(p, FLAG.none)
  },
  parse(p, text, option) {
    if (text !== 'ipsec' && text !== 'none') throw new RuleError(`${option}: expected ipsec or none, got "${text}"`)
    if (text === 'none') set(p, FLAG.none)
  },
  print: (p) => (has(p, FLAG.none) ? 'none' : 'ipsec'),
}

function check(p: Payload, _seen: ReadonlySet<string>, ctx: RuleContext): void {
  const strict = has(p, FLAG.strict)
  if (p.u16(LENGTH) > 0 && !strict) throw new RuleError('policy: --next needs --strict')
  if (has(p, FLAG.none)) {
    if (strict) throw new RuleError('policy: --pol none and --strict cannot be given together')
  } else p.setU16(LENGTH, p.u16(LENGTH) + 1)
  ELEMENTS.slice(0, p.u16(LENGTH)).forEach(({ at }, i) => {
    if (strict && compared(p, at) === 0) throw new RuleError(`policy: with --strict each element needs something to compare, and element ${i} has nothing`)
    const isTunnel = (p.u8(at + 73) === TUNNEL) !== ((p.u8(at + INVERT) & 8) !== 0)
    if (!isTunnel && (compared(p, at) & 3) !== 0) throw new RuleError('policy: --tunnel-src and --tunnel-dst need --mode tunnel')
  })
  if (has(p, FLAG.in)) requireHook('policy: --dir in', ['PREROUTING', 'INPUT', 'FORWARD'], ctx)
  else requireHook('policy: --dir out', ['FORWARD', 'OUTPUT', 'POSTROUTING'], ctx)
}

function print(p: Payload, ctx: RuleContext): string {
  const flags = ` --dir ${direction.print(p, ctx)} --pol ${policy.print(p, ctx)}${has(p, FLAG.strict) ? ' --strict' : ''}`
  const list = ELEMENTS.slice(0, p.u16(LENGTH)).map(({ at, fields }) => fields
    .filter(({ mask }) => (compared(p, at) & mask) !== 0)
    .map(({ option, mask, type }) => `${(p.u8(at + INVERT) & mask) !== 0 ? ' !' : ''} ${option} ${type.print(p, ctx) ?? '???'}`).join(''))
  return flags + list.join(' --next')
}

registerExtension({
  kind: 'match', name: 'policy', revision: 0, size: 308, check, print,
  recognises: (p) => has(p, FLAG.in) !== has(p, FLAG.out) && (has(p, FLAG.none) ? p.u16(LENGTH) === 0 : p.u16(LENGTH) >= 1 && p.u16(LENGTH) <= MOST),
  properties: [
    property({ key: 'direction', options: ['--dir'], type: direction, mandatory: true }),
    property({ key: 'policy', options: ['--pol'], type: policy }),
    property({ key: 'strict', options: ['--strict'], type: flag(bit(FLAGS, FLAG.strict, 2)), arguments: 0 }),
    // Its options are those of the parts of an element.
    property({ key: 'elements', options: [], type: elements }),
    ...options,
    property({ key: 'elements', options: ['--next'], alias: true, repeatable: true, arguments: 0, type: next }),
  ],
})
