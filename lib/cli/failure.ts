// SPDX-License-Identifier: MIT
// What an error says on standard error, and the exit status it makes.

import { NfkitError } from '../errors.js'
import { type Action, optionsOf } from './action.js'
import { kebab, printable } from './text.js'
import { UsageError } from './usage.js'

/** `action` is what was meant, as far as that is known. */
export function messageOf(error: unknown, action?: Action): { message: string; status: 1 | 2 } {
  if (error instanceof UsageError) return { message: printable(error.message), status: 2 }
  if (isArgumentError(error)) return { message: printable(action === undefined ? error.message : asTyped(error.message, action)), status: 2 }
  if (error instanceof NfkitError) {
    const { code } = error
    // Hints speak of what a program would write.
    const text = error.message.replace(/\{ (\w+): '(\w+)' \}/g,
      (call, name: string, value: string) => (hasOption(action, name) ? `--${kebab(name)} ${value}` : call))
    return { message: printable(text.includes(code) ? text : `${text} (${code})`), status: 1 }
  }
  const { code, message, stack } = error as NodeJS.ErrnoException
  if (typeof code === 'string' && typeof message === 'string') {
    return { message: printable(message.includes(code) ? message : `${code}: ${message}`), status: 1 }
  }
  return { message: `internal error, please report it: ${stack ?? String(error)}`, status: 1 }
}

/** The library's own words for a wrong argument (invalidArgument, outOfRange): here it came from the command line. */
function isArgumentError(error: unknown): error is TypeError | RangeError {
  return (error instanceof TypeError || error instanceof RangeError) && error.message.includes(': expected ')
}

/** The library names its own parameters, the user knows options and arguments: `stp.maxAge` is `--stp-max-age`, `mac` is MAC. */
function asTyped(message: string, action: Action): string {
  const [name] = message.split(':', 1) as [string]
  const rest = message.slice(name.length)
  const known = action.args.split(/[^A-Z]+/)
  // The first argument is a bridge for the user, and any link or its name for some functions of the library.
  const argument = ['link', 'name'].includes(name) && rest.includes('interface name') ? 'BRIDGE' : name.toUpperCase()
  if (known.includes(argument)) return argument + rest
  return hasOption(action, name) ? `--${kebab(name)}${rest}` : message
}

function hasOption(action: Action | undefined, name: string): boolean {
  return action !== undefined && Object.hasOwn(optionsOf(action), kebab(name))
}
