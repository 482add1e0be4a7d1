// SPDX-License-Identifier: MIT
// Rules as text by chance: what the grammars of matches and targets are made of.

import fc from './fast-check.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import type { Hook } from '../../lib/wire/xtables/extension.js'

/** Text with its words between spaces. */
export type Words = fc.Arbitrary<string>

/** Where a rule is. */
export interface Place {
  readonly family: IpFamily
  readonly table: string
  readonly chain: Hook
}

/** How the options of one extension are made; what it says, iptables takes but for rare mistakes. */
export interface Grammar {
  readonly name: string
  /** Only in rules of these protocols. */
  readonly protocols?: readonly string[]
  /** Whether it can be there. */
  readonly at?: (place: Place) => boolean
  readonly options?: (place: Place) => Words
  /** Words that the rule needs beside it. */
  readonly with?: string
}

export const one = fc.constantFrom
const join = (list: readonly string[]) => list.filter((text) => text !== '').join(' ')

/** All of them, in any order. */
export const all = (...parts: Words[]): Words => fc.shuffledSubarray(parts, { minLength: parts.length }).chain((list) => fc.tuple(...list)).map(join)
/** So many of them and more, in any order. */
export const some = (least: number, ...parts: Words[]): Words => fc.shuffledSubarray(parts, { minLength: least }).chain((list) => (list.length === 0 ? fc.constant('') : fc.tuple(...list).map(join)))
/** In this order. */
export const series = (...parts: Words[]): Words => fc.tuple(...parts).map(join)
export const maybe = (part: Words): Words => fc.oneof(fc.constant(''), part)
export const either = (...parts: Words[]): Words => fc.oneof(...parts)
/** Negated half of the times. */
export const not = (part: Words): Words => fc.tuple(fc.boolean(), part).map(([negated, text]) => (negated ? `! ${text}` : text))
export const option = (name: string, ...values: fc.Arbitrary<string | number>[]): Words => fc.tuple(...values).map((list) => [`--${name}`, ...list].join(' '))
/** An option that can be negated. */
export const negatable = (name: string, ...values: fc.Arbitrary<string | number>[]): Words => not(option(name, ...values))

/** A number with its limits more often than others; one too many now and then, unless told. */
export function decimal(max: number, min = 0, mistakes = true): fc.Arbitrary<number> {
  return fc.oneof(
    { weight: 60, arbitrary: fc.integer({ min, max }) }, { weight: 60, arbitrary: fc.integer({ min, max: Math.min(max, min + 300) }) },
    { weight: 20, arbitrary: one(min, max) }, { weight: mistakes ? 1 : 0, arbitrary: fc.constant(max + 1) },
  )
}

/** In any base that strtoul(3) reads. */
export const number = (max: number, min = 0): Words => fc.tuple(decimal(max, min), one('d', 'd', 'd', 'x', 'X', 'o')).map(([value, base]) =>
  (base === 'x' ? `0x${value.toString(16)}` : base === 'X' ? `0X${value.toString(16).toUpperCase()}` : base === 'o' ? `0${value.toString(8)}` : String(value)))

export const U8 = 0xff
export const U16 = 0xffff
export const U32 = 0xffffffff

/** `a:b`, with open ends where they can be, or one number. From 1 on when it is to be negated: "not all" is printed wrong by 1.8.9. */
export function range(max: number, { min = 0, separator = ':', open = true, single = true, mistakes = true }: { min?: number; separator?: string; open?: boolean; single?: boolean; mistakes?: boolean } = {}): Words {
  const pair = fc.tuple(decimal(max, min, mistakes), decimal(max, min, mistakes)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
  return fc.tuple(pair, fc.nat(9)).map(([[low, high], how]) => {
    if (single && how < 3) return String(low)
    if (open && how === 3) return `${low}${separator}`
    if (open && how === 4 && min === 0) return `${separator}${high}`
    return `${low}${separator}${high}`
  })
}
/** A range that can be negated. */
export const negatableRange = (name: string, max: number, options: Parameters<typeof range>[1] = {}): Words =>
  either(option(name, range(max, options)), option(name, range(max, { ...options, min: Math.max(options.min ?? 0, 1) })).map((text) => `! ${text}`))

export const list = (part: Words, least: number, most: number, separator = ','): Words => fc.array(part, { minLength: least, maxLength: most }).map((parts) => parts.join(separator))
export const subset = (names: readonly string[], least = 1): Words => fc.shuffledSubarray([...names], { minLength: least }).map((parts) => parts.join(','))

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-'
/** A name without anything to quote. */
export const plain = (most: number, least = 1): Words => fc.string({ unit: one(...LETTERS), minLength: least, maxLength: most }).map((text) => text.replace(/^[-!]/, 'x'))
/** Any printable text as a word: in quotes where it must be. Its bytes are its characters. */
export const quotedText = (most: number, least = 1): Words => fc.oneof(plain(most, least), fc.string({ unit: one(...LETTERS, ...' .,:;/()[]{}<>#$%&*+=?@^`|~!"\'\\'), minLength: least, maxLength: most }))
  .map((text) => (/^[\w]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`))

const ip4 = fc.oneof(fc.ipV4(), one('0.0.0.0', '255.255.255.255', '10.0.0.1', '192.168.1.2'))
const ip6 = fc.oneof(fc.ipV6(), one('::', '::1', 'fe80::1', '2001:db8::1', '::ffff:1.2.3.4', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '2001:db8:0:0:1:0:0:1', '1:0:2::'))
export const address = ({ family }: Place): Words => (family === 'ipv4' ? ip4 : ip6)
const mask4 = fc.nat(32).map((length) => [24, 16, 8, 0].map((shift) => (length === 0 ? 0 : (-1 << (32 - length)) >>> 0) >>> shift & 0xff).join('.'))
/** An address with a prefix length, a mask without gaps or nothing. */
export const network = (place: Place): Words => (place.family === 'ipv4'
  ? fc.oneof(ip4, fc.tuple(ip4, fc.nat(32).map(String)).map((parts) => parts.join('/')), fc.tuple(ip4, mask4).map((parts) => parts.join('/')))
  : fc.oneof(ip6, fc.tuple(ip6, fc.nat(128)).map((parts) => parts.join('/'))))

export const inChains = (...chains: Hook[]) => ({ chain }: Place) => chains.includes(chain)
export const inTables = (...tables: string[]) => ({ table }: Place) => tables.includes(table)
export const v4 = ({ family }: Place) => family === 'ipv4'
export const v6 = ({ family }: Place) => family === 'ipv6'
/** `value` or `value/mask`. */
export const masked = (max = U32): Words => either(number(max), fc.tuple(number(max), number(max)).map((parts) => parts.join('/')))
