// SPDX-License-Identifier: MIT
// Names of mirrors: they are file names, words of a command line, and part of a comment in a rule.

import { invalidArgument } from '../errors.js'

export function isMirrorName(name: unknown): name is string {
  return typeof name === 'string' && /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name)
}

export function checkMirrorName(name: unknown): asserts name is string {
  if (!isMirrorName(name)) throw invalidArgument('name', 'a name of 1 to 63 letters, digits, "_", "." and "-", a letter or digit first', name)
}

/** The comment by which the rules of a mirror are known. */
export function commentOf(name: string): string {
  return `nfkit:${name}`
}
