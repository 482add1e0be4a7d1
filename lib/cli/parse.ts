// SPDX-License-Identifier: MIT
// From words to an action and its options.

import { parseArgs } from 'node:util'
import { type Action, arity, type Command, COMMON, HELP, type OptionSpec, type OptionSpecs, optionsOf } from './action.js'
import { UsageError } from './usage.js'

type Token = NonNullable<ReturnType<typeof parseArgs>['tokens']>[number]

/** Splits words by the options that there are; says nothing yet about wrong ones. */
function tokenize(words: readonly string[], specs: OptionSpecs): Token[] {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {}
  for (const [name, { type, short }] of Object.entries(specs)) {
    options[name] = { type: type === 'value' ? 'string' : 'boolean', ...(short === undefined ? {} : { short }) }
    if (type === 'switch') options[`no-${name}`] = { type: 'boolean' }
  }
  return parseArgs({ args: [...words], options, strict: false, allowPositionals: true, tokens: true }).tokens
}

/** The words that are no options, and whether help is asked for, whichever action will be chosen. */
export function survey(command: Command, words: readonly string[]): { positionals: string[]; help: boolean } {
  const every: OptionSpecs = Object.assign({}, COMMON, HELP, ...command.actions.map(({ options }) => options))
  const end = words.indexOf('--')
  const tokens = tokenize(end < 0 ? words : words.slice(0, end), every)
  return {
    positionals: tokens.flatMap((token) => (token.kind === 'positional' ? [token.value] : [])),
    help: tokens.some((token) => token.kind === 'option' && token.name === 'help'),
  }
}

/** The actions that these words are, or that they begin. */
export function beginningWith({ actions }: Command, positionals: readonly string[]): Action[] {
  return actions.filter((action) => positionals.every((word, i) => wordsOf(action)[i] === word))
}

/** Which action is meant: the one with the most words at the start. @throws UsageError when there is none */
export function chooseAction({ name, actions }: Command, positionals: readonly string[]): Action {
  const starts = (action: Action, count = Infinity) => wordsOf(action).slice(0, count).every((word, i) => positionals[i] === word)
  const [best] = actions.filter((action) => starts(action)).sort((a, b) => wordsOf(b).length - wordsOf(a).length)
  if (best !== undefined && (best.words !== '' || positionals.length <= arity(best).most)) return best
  if (positionals.length === 0) throw new UsageError(`${name}: what to do is missing`)
  const known = positionals.findIndex((_word, i) => !actions.some((action) => wordsOf(action).length > i && starts(action, i + 1)))
  if (known < 0) throw new UsageError(`${name} ${positionals.join(' ')}: what to do is missing`)
  throw new UsageError(`${name}: there is no ${quote(positionals.slice(0, known + 1).join(' '))}`)
}

/** Reads the words for an action. @throws UsageError */
export function parseFor(action: Action, words: readonly string[]): { args: string[]; options: Record<string, string | boolean> } {
  const specs = optionsOf(action)
  const fail = (message: string): never => { throw new UsageError(message) }
  const { least, most, rest } = arity(action)
  const end = rest ? words.indexOf('--') : -1
  const own = end < 0 ? words : words.slice(0, end)
  const options: Record<string, string | boolean> = {}
  const args: string[] = []
  for (const token of tokenize(own, specs)) {
    if (token.kind === 'positional') args.push(token.value)
    else if (token.kind === 'option') {
      const { name, rawName } = token
      const [key, spec, given] = specFor(specs, name) ?? fail(`there is no option ${quote(rawName)}`)
      if (Object.hasOwn(options, key)) fail(`--${key} is given twice`)
      if (spec.type !== 'value') {
        if (token.value !== undefined) fail(`${rawName} takes no value`)
        options[key] = given
      } else {
        const { value } = token
        // A value that looks like an option is one whose value was forgotten, unless it is written --name=value.
        if (value === undefined || (value.startsWith('-') && value !== '-' && token.inlineValue !== true)) {
          fail(`${rawName} needs a value: ${spec.value}`)
        }
        options[key] = value!
      }
    }
  }
  args.splice(0, wordsOf(action).length)
  if (rest && args.length > 0) fail(`${quote(args[0]!)} comes before --`)
  if (end >= 0) args.push(...words.slice(end + 1))
  if (args.length < least) {
    const missing = action.args.replace(/^-- /, '').split(' ')[args.length]!
    fail(rest && end < 0 ? `-- ${missing} is missing` : `${missing} is missing`)
  }
  if (args.length > most) fail(`${quote(args[most]!)} is one argument too many`)
  return { args, options }
}

function specFor(specs: OptionSpecs, name: string): [key: string, spec: OptionSpec, given: boolean] | undefined {
  if (Object.hasOwn(specs, name)) return [name, specs[name]!, true]
  const positive = name.startsWith('no-') ? name.slice(3) : ''
  if (Object.hasOwn(specs, positive) && specs[positive]!.type === 'switch') return [positive, specs[positive]!, false]
  return undefined
}

function wordsOf({ words }: Action): string[] {
  return words === '' ? [] : words.split(' ')
}

export function quote(text: string): string { return JSON.stringify(text) }
