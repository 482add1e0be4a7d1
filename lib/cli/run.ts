// SPDX-License-Identifier: MIT
// From a command line to an exit status: 0 done, 1 failed, 2 wrong usage.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../package-root.js'
import type { Action, Command } from './action.js'
import { messageOf } from './failure.js'
import { actionHelp, commandHelp, mainHelp, usageLine } from './help.js'
import { Output } from './output.js'
import { beginningWith, chooseAction, parseFor, quote, survey } from './parse.js'
import { type CommandEntry, COMMANDS } from './registry.js'
import { UsageError } from './usage.js'

/** A reader that has seen enough (`| head -1`) is no failure; a full disk is one. */
export function guardOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    try { process.stderr.write(`nfkit: writing the output: ${error.message}\n`) } finally { process.exit(1) }
  })
  process.stderr.on('error', () => {})
}

/** Where a command writes and what it knows of its surroundings: `process`, or what a test gives. */
export interface Surroundings {
  readonly stdout: NodeJS.WriteStream
  readonly stderr: { write(text: string): unknown }
  readonly env: NodeJS.ProcessEnv
}

export async function run(argv: readonly string[], surroundings: Surroundings = process): Promise<number> {
  const { stdout, stderr, env } = surroundings
  const print = (lines: readonly string[]): number => {
    stdout.write(`${lines.join('\n')}\n`)
    return 0
  }
  let entry: CommandEntry | undefined
  let command: Command | undefined
  let action: Action | undefined
  try {
    const { globals, asked, rest } = leadingOptions(argv)
    if (asked === 'version') return print([`nfkit ${version()}`])
    const help = asked === 'help' || rest[0] === 'help'
    const [name, ...words] = rest[0] === 'help' ? rest.slice(1) : rest
    if (name === undefined) {
      if (help) return print(mainHelp(COMMANDS))
      throw new UsageError('a command is missing')
    }
    entry = COMMANDS.find((each) => each.name === name)
    if (entry === undefined) throw new UsageError(`there is no command ${quote(name)}`)
    command = await entry.load()
    const line = [...globals, ...(help ? ['--help'] : []), ...words]
    const { positionals, help: wanted } = survey(command, line)
    const group = beginningWith(command, positionals)
    if (wanted && group.some(({ words: all }) => all.split(' ').length > positionals.length && all !== '')) return print(commandHelp([name, ...positionals], group, entry.summary))
    action = chooseAction(command, positionals)
    if (wanted) return print(actionHelp(entry.name, action))
    const { args, options } = parseFor(action, line)
    const { json = false, netns } = options
    await action.run({
      args, options, json: json === true, netns: netns === undefined ? {} : { netns: netns as string }, out: new Output(stdout, stderr, env),
    })
    return 0
  } catch (error) {
    const { message, status } = messageOf(error, action)
    const usage = status === 2 ? usageOf(entry, command, action) : []
    stderr.write([`nfkit: ${message}`, ...usage, ''].join('\n'))
    return status
  }
}

/** The common options may also stand before the command. */
function leadingOptions(argv: readonly string[]): { globals: string[]; asked?: 'help' | 'version'; rest: readonly string[] } {
  const globals: string[] = []
  for (let at = 0; ; at++) {
    const word = argv[at]
    if (word === undefined || !word.startsWith('-')) return { globals, rest: argv.slice(at) }
    if (word === '-V' || word === '--version') return { globals, asked: 'version', rest: [] }
    if (word === '-h' || word === '--help') return { globals, asked: 'help', rest: argv.slice(at + 1) }
    if (word === '-j' || word === '--json') globals.push('--json')
    else if (word === '-n' || word === '--netns') {
      const value = argv[++at]
      if (value === undefined) throw new UsageError(`${word} needs a value: NAME|PATH`)
      globals.push(`--netns=${value}`)
    } else if (word.startsWith('--netns=')) globals.push(word)
    else throw new UsageError(`there is no option ${quote(word)} before the command`)
  }
}

function usageOf(entry: CommandEntry | undefined, command: Command | undefined, action: Action | undefined): string[] {
  if (entry === undefined || command === undefined) {
    return [`usage: nfkit [--netns NAME|PATH] [--json] ${COMMANDS.map(({ name }) => name).join('|')} ...`, 'nfkit --help tells more']
  }
  if (action === undefined) return [...command.actions.map((each, i) => `${i === 0 ? 'usage:' : '      '} ${usageLine(entry.name, each)}`)]
  return [`usage: ${usageLine(entry.name, action)}`, `nfkit ${[entry.name, action.words].join(' ').trim()} --help tells more`]
}

function version(): string {
  return (JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }).version
}
