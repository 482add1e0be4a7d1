// SPDX-License-Identifier: MIT
// Usage and help, made from what the commands declare.

import { type Action, type OptionSpecs, optionsOf } from './action.js'
import type { CommandEntry } from './registry.js'

/** `nfkit cam show BRIDGE [--port PORT] ...` in one line. */
export function usageLine(command: string, action: Action): string {
  const options = Object.entries(optionsOf(action)).filter(([name]) => name !== 'help')
  const own = options.filter(([name]) => Object.hasOwn(action.options, name))
  // The settings of a bridge would fill the screen.
  const shown = own.length > 8 ? ['[OPTION]...'] : options.map((option) => `[${optionText(option)}]`)
  const [before, after] = action.args.startsWith('-- ') ? ['', action.args] : [action.args, '']
  return ['nfkit', command, action.words, before, ...shown, after].filter((part) => part !== '').join(' ')
}

function optionText([name, spec]: [string, OptionSpecs[string]]): string {
  return spec.type === 'value' ? `--${name} ${spec.value}` : spec.type === 'switch' ? `--[no-]${name}` : `--${name}`
}

export function actionHelp(command: string, action: Action): string[] {
  const options = Object.entries(optionsOf(action)).map((option) => {
    const short = option[1].short
    return [`${short === undefined ? '    ' : `-${short}, `}${optionText(option)}`, option[1].help] as const
  })
  return [
    `usage: ${usageLine(command, action)}`, '', sentence(action.summary), ...(action.details === undefined ? [] : ['', ...action.details]),
    '', 'options:', ...twoColumns(options),
  ]
}

/** Of a command, or of those of its actions that begin with the same words. */
export function commandHelp(words: readonly string[], actions: readonly Action[], summary: string): string[] {
  const [name] = words
  return [
    `usage: nfkit ${words.join(' ')} ...`, '', sentence(summary), '',
    ...twoColumns(actions.map((action) => [[name, action.words, action.args].filter((part) => part !== '').join(' '), action.summary])),
    '', `options of each: nfkit ${[name, actions.find(({ words }) => words !== '')?.words].join(' ')} --help`,
  ]
}

export function mainHelp(commands: readonly CommandEntry[]): string[] {
  return [
    'usage: nfkit [--netns NAME|PATH] [--json] COMMAND ...', '',
    'Makes a Linux box into a managed switch, a bridging firewall and a mirror port.', '',
    'commands:', ...twoColumns(commands.map(({ name, summary }) => [name, summary])), '',
    'options:', ...twoColumns([
      ['-n, --netns NAME|PATH', 'network namespace: a name in /run/netns or a path'],
      ['-j, --json', 'print JSON; watches print one object in each line'],
      ['-h, --help', 'print this, or the help of a command: nfkit COMMAND --help'],
      ['-V, --version', 'print the version'],
    ]), '',
    'exit status: 0 done, 1 failed, 2 wrong usage',
  ]
}

function twoColumns(rows: readonly (readonly [left: string, right: string])[]): string[] {
  const width = Math.min(38, rows.reduce((widest, [left]) => Math.max(widest, left.length), 0))
  return rows.flatMap(([left, right]) => (
    left.length > width ? [`  ${left}`, `  ${' '.repeat(width)}  ${right}`] : [`  ${left.padEnd(width)}  ${right}`]
  ))
}

function sentence(text: string): string { return `${text[0]!.toUpperCase()}${text.slice(1)}.` }
