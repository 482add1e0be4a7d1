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
    const text = withOptions(error.message, action)
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
  // What is not given at all came from nowhere.
  const absent = /^: expected (.*), got undefined$/.exec(rest)
  const said = withOptions(absent === null ? rest : ` is missing: ${absent[1]}`, action)
  const known = action.args.split(/[^A-Z]+/)
  // The first argument is a bridge for the user, and any link or its name for some functions of the library.
  const argument = ['link', 'name'].includes(name) && rest.includes('interface name') ? 'BRIDGE' : name === 'vid' ? 'VLAN' : name.toUpperCase()
  if (known.includes(argument)) return argument + said
  if (hasOption(action, name)) return `--${kebab(name)}${said}`
  if (name === 'match.program' && hasOption(action, 'bpf')) return `--bpf${said}`
  // A field of what an option has, or one of several: `match.sourceMac`, `to[0]`.
  const [, option = '', field = ''] = /^(\w+)([.[].*)$/.exec(name) ?? []
  return hasOption(action, option) ? `--${kebab(option)}${field.replace(/^\./, ': ')}${said}` : name + said
}

/** Hints speak of what a program would write: `{ via: 'reroute' }` is `--via reroute`. */
function withOptions(text: string, action: Action | undefined): string {
  return text.replace(/\{ (\w+): '(\w+)' \}|\b(\w+): '(\w+)'/g, (call, inBraces?: string, value?: string, name = inBraces!, plain = value!) => (
    hasOption(action, name) ? `--${kebab(name)} ${plain}` : call))
}

function hasOption(action: Action | undefined, name: string): boolean {
  return action !== undefined && Object.hasOwn(optionsOf(action), kebab(name))
}
