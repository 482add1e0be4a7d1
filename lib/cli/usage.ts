// SPDX-License-Identifier: MIT

/** A command line that means nothing: exit status 2, with the usage of what was meant. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
