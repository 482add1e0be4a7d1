// SPDX-License-Identifier: MIT

import { errnoName, errnoText } from './errno.js'

/** What an {@link NfkitError} can carry beside its code and message. */
export interface NfkitErrorOptions {
  /** The positive Linux error number, where the kernel gave one. */
  errno?: number
  /** The system call or netlink request that failed, for example `RTM_NEWLINK`. */
  syscall?: string
  /** The kernel's own words: the extended ACK message of netlink (Linux 4.12 and later). */
  kernelMessage?: string
  /** The request's attribute that the kernel refused, by name where it is known, else `#type`. */
  attribute?: string
  /** What to do about it. */
  hint?: string
  /** True: what was asked for has been done all the same, and stands; the message says what is wrong beside. */
  committed?: true
  cause?: unknown
}

/**
 * Every failure that is not a wrong argument: the kernel's refusals, missing features, missing privileges, malformed
 * bytes. A wrong argument is a TypeError or RangeError instead, thrown before any system call.
 *
 * `code` is the errno's name (`EPERM`, `ENODEV`, ...) or one of nfkit's own, which begin with `NFKIT_`.
 */
export class NfkitError extends Error {
  /** The errno's name, or `NFKIT_...` where the condition is the library's own. */
  readonly code: string
  /** The positive Linux error number, where the kernel gave one. */
  declare readonly errno?: number
  /** The system call or netlink request that failed. */
  declare readonly syscall?: string
  /** The kernel's own words, where netlink gave some. */
  declare readonly kernelMessage?: string
  /** The request's attribute that the kernel refused. */
  declare readonly attribute?: string
  /** What to do about it; the message ends with it. */
  declare readonly hint?: string
  /** True where a change was made in spite of the error, and stands: who makes it again makes it twice. */
  declare readonly committed?: true

  constructor(code: string, message: string, options: NfkitErrorOptions = {}) {
    super(options.hint === undefined ? message : `${message}; ${options.hint}`, 'cause' in options ? { cause: options.cause } : undefined)
    this.name = 'NfkitError'
    this.code = code
    // Only what is known becomes a property, so that a printed error shows no empty ones.
    const { errno, syscall, kernelMessage, attribute, hint, committed } = options
    Object.assign(this, withoutUndefined({ errno, syscall, kernelMessage, attribute, hint, committed }))
  }

  /** The error of a failed system call; `detail` says what was attempted. */
  static fromErrno(errno: number, syscall: string, detail?: string, options: NfkitErrorOptions = {}): NfkitError {
    const code = errnoName(errno)
    const said = options.kernelMessage === undefined ? '' : ` (${options.kernelMessage})`
    const about = detail === undefined ? syscall : `${detail}: ${syscall}`
    const hint = options.hint ?? (code === 'EPERM' ? 'this needs CAP_NET_ADMIN in the network namespace: run as root, or under "nfkit lab --"' : undefined)
    return new NfkitError(code, `${about}: ${code}, ${errnoText(errno)}${said}`, {
      ...options, errno, syscall, ...(hint === undefined ? {} : { hint }),
    })
  }

  /** All fields, since structuredClone and JSON would drop them. */
  toJSON(): Record<string, unknown> {
    const { name, message, code, errno, syscall, kernelMessage, attribute, hint, committed } = this
    return withoutUndefined({ name, message, code, errno, syscall, kernelMessage, attribute, hint, committed })
  }
}

function withoutUndefined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

/** The TypeError of an argument of the wrong kind: says what was expected and what came. */
export function invalidArgument(name: string, expected: string, actual: unknown): TypeError {
  return new TypeError(`${name}: expected ${expected}, got ${show(actual)}`)
}

/** The RangeError of an argument of the right kind outside its range. */
export function outOfRange(name: string, expected: string, actual: unknown): RangeError {
  return new RangeError(`${name}: expected ${expected}, got ${show(actual)}`)
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'number' || typeof value === 'boolean' || value === undefined || value === null) return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  return `${typeof value === 'object' ? 'an' : 'a'} ${typeof value}`
}
