// SPDX-License-Identifier: MIT
// The struct of a match or target in place, and the small things that every extension is made of.

import { NfkitError } from '../../errors.js'
import { type Input, LITTLE_ENDIAN } from '../bytes.js'
import type { IpFamily } from '../ip.js'

/** What is the system's own: names that change from machine to machine. `wire/` only declares it. */
export interface Resolver {
  /** Port of a service name, undefined when there is none. */
  servicePort(name: string, protocol: number): number | undefined
  /** Number of a protocol name as in /etc/protocols. */
  protocolNumber(name: string): number | undefined
  protocolName(number: number): string | undefined
  /** Addresses of a host name. */
  hostAddresses(name: string, family: IpFamily): readonly Uint8Array[]
  userId(name: string): number | undefined
  userName(id: number): string | undefined
  groupId(name: string): number | undefined
  groupName(id: number): string | undefined
  /** A name of one of the /etc/iproute2 tables, /etc/xtables/connlabel.conf and the like. */
  lookup(file: string, name: string): number | undefined
  lookupName(file: string, number: number): string | undefined
}

/**
 * What an extension knows of the rule around it. What it reads or prints may depend on the family, the table, the protocol and on
 * which built-in chain the rule is in; not on the name of a user's chain, since bytes and text are remembered from rule to rule.
 */
export interface RuleContext {
  readonly family: IpFamily
  readonly resolver: Resolver
  /** The rule's protocol, 0 for any, and whether it is negated. */
  readonly protocol: number
  readonly protocolNegated: boolean
  readonly table?: string | undefined
  readonly chain?: string | undefined
}

/** The error of a rule that iptables refuses, too: names the option and the reason. */
export class RuleError extends NfkitError {
  /** Number of the word at which reading stopped, from 0 on; only for text, and where it was one word's fault. */
  declare word?: number

  constructor(message: string) {
    super('NFKIT_BAD_RULE', message)
    this.name = 'RuleError'
  }
}

/** The bytes of one match or target, from the start of its own struct. */
export class Payload {
  /** Not its bytes: those of a writer move as it grows. */
  readonly input: Input
  readonly at: number
  readonly size: number

  constructor(input: Input, at: number, size: number) {
    this.input = input
    this.at = at
    this.size = size
  }

  u8(offset: number): number { return this.input.bytes[this.at + offset]! }
  setU8(offset: number, value: number): void { this.input.bytes[this.at + offset] = value }
  u16(offset: number): number { return this.input.view.getUint16(this.at + offset, LITTLE_ENDIAN) }
  setU16(offset: number, value: number): void { this.input.view.setUint16(this.at + offset, value, LITTLE_ENDIAN) }
  be16(offset: number): number { return this.input.view.getUint16(this.at + offset) }
  setBe16(offset: number, value: number): void { this.input.view.setUint16(this.at + offset, value) }
  u32(offset: number): number { return this.input.view.getUint32(this.at + offset, LITTLE_ENDIAN) }
  setU32(offset: number, value: number): void { this.input.view.setUint32(this.at + offset, value, LITTLE_ENDIAN) }
  be32(offset: number): number { return this.input.view.getUint32(this.at + offset) }
  setBe32(offset: number, value: number): void { this.input.view.setUint32(this.at + offset, value) }
  u64(offset: number): bigint { return this.input.view.getBigUint64(this.at + offset, LITTLE_ENDIAN) }
  setU64(offset: number, value: bigint): void { this.input.view.setBigUint64(this.at + offset, value, LITTLE_ENDIAN) }
  slice(offset: number, length: number): Uint8Array { return this.input.bytes.slice(this.at + offset, this.at + offset + length) }
  set(offset: number, data: Uint8Array): void { this.input.bytes.set(data, this.at + offset) }
}
