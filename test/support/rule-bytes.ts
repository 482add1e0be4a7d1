// SPDX-License-Identifier: MIT
// Rules of one match, made of bytes or text, and what must hold for them on all four paths.

import fc from './fast-check.js'
import type { Test } from 'tap'
import { NfkitError } from '../../lib/errors.js'
import { Writer } from '../../lib/wire/bytes.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { appendExtension, entryLayouts } from '../../lib/wire/xtables/entry.js'
import { align8 } from '../../lib/wire/xtables/extension.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import { appendStandardTarget, closeEntry, decodeRule, encodeRule, printRule, type Rule, type RuleBytes, type RuleEnvironment } from '../../lib/wire/xtables/rule.js'

/** Splits text that has no escapes into words. */
export const words = (text: string) => [...text.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[2] ?? match[1]!)

/** A rule of one match without target. */
export function ruleOf(family: IpFamily, name: string, revision: number, payload: Uint8Array, protocol = 0): RuleBytes {
  const layout = entryLayouts[family]
  const w = new Writer()
  w.reserve(layout.size)
  w.view.setUint16(layout.protocol, protocol, true)
  const at = appendExtension(w, name, revision, align8(payload.length))
  w.bytes.set(payload, at)
  const start = w.length
  appendStandardTarget(w, 0)
  closeEntry(w, layout, 0, start)
  return { bytes: w.finish().slice() }
}

/** The bytes of the first match's struct. */
export const structOf = (rule: RuleBytes, family: IpFamily) => rule.bytes.slice(entryLayouts[family].size + 32, -40)

/** A kernel that has one revision only. */
export const only = (revision: number) => ({ kernelHas: (_kind: string, _name: string, other: number) => other === revision })

/** Text to bytes, to text, to value and back. */
export function roundTrip(t: Test, text: string, printed: string, env: RuleEnvironment): Rule {
  const rule = parseRule(words(text), env).rules[0]!
  t.equal(printRule(rule, env), ` ${printed}`, text)
  const value = decodeRule(rule, env)
  t.equal(Buffer.from(encodeRule(value, env).bytes).toString('hex'), Buffer.from(rule.bytes).toString('hex'), `${text}: ${JSON.stringify(value)}`)
  return value
}

/** A struct is read, or refused with a typed error, and what can be written again is the same again. */
function checkStruct(name: string, revision: number, payload: Uint8Array, env: RuleEnvironment, protocol?: number): void {
  const rule = ruleOf(env.family, name, revision, payload, protocol)
  const one = { ...env, ...only(revision) }
  const value = decodeRule(rule, one)
  JSON.stringify(value)
  const text = printRule(rule, one)
  const typed = (error: unknown) => error instanceof NfkitError || ((error instanceof TypeError || error instanceof RangeError) && error.message.includes(': expected '))
  try { parseRule(words(text), one) } catch (error) { if (!typed(error)) throw error }
  let again: RuleBytes
  try { again = encodeRule(value, one) } catch (error) {
    if (typed(error)) return
    throw error
  }
  if (JSON.stringify(decodeRule(again, one)) !== JSON.stringify(value)) throw new Error(`${JSON.stringify(value)} became ${JSON.stringify(decodeRule(again, one))}`)
}

/** Gives a match's struct any bytes, in both families. */
export function readAnyBytes(t: Test, name: string, revision: number, size: number, env: RuleEnvironment, protocol?: number): void {
  fc.assert(fc.property(fc.uint8Array({ minLength: size, maxLength: size }), fc.constantFrom<IpFamily>('ipv4', 'ipv6'), (payload, family) => {
    checkStruct(name, revision, payload, { ...env, family }, protocol)
  }), { numRuns: 60 })
  t.pass(`${name} ${revision}`)
}

/** Changes a few bytes of the structs of rules, which any bytes hardly ever come near. */
export function readDamagedBytes(t: Test, name: string, revision: number, rules: readonly string[], env: RuleEnvironment): void {
  const structs = rules.map((rule) => structOf(parseRule(words(rule), { ...env, ...only(revision) }).rules[0]!, env.family))
  fc.assert(fc.property(fc.constantFrom(...structs), fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }), (struct, changes) => {
    const payload = struct.slice()
    for (const [at, byte] of changes) payload[at % payload.length] = byte
    checkStruct(name, revision, payload, env)
  }), { numRuns: 100 })
  t.pass(`${name} ${revision} ${env.family}`)
}
