// SPDX-License-Identifier: MIT
// Names of mirrors: they are file names, words of a command line, and part of a comment in a rule.

import { invalidArgument, outOfRange } from '../errors.js'

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

const OBJECT_PREFIX = 'mirror.'
/** Of the module's objects, without the final NUL (NFKIT_NAME_SIZE). */
const LONGEST_OBJECT = 31

/** What the clone target of a mirror is called, and its hook. @throws RangeError when the module takes no name so long */
export function objectNameOf(name: string): string {
  const object = `${OBJECT_PREFIX}${name}`
  const most = LONGEST_OBJECT - OBJECT_PREFIX.length
  if (object.length > LONGEST_OBJECT) throw outOfRange('name', `at most ${most} characters, since its clone target is ${OBJECT_PREFIX}NAME`, name)
  return object
}
