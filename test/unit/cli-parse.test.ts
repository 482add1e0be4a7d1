// SPDX-License-Identifier: MIT
// Words to actions: what each command line means, and what is wrong with the others.

import fc from '../support/fast-check.js'
import t from 'tap'
import { action, type Command, optionsOf } from '../../lib/cli/action.js'
import { cam } from '../../lib/cli/commands/cam.js'
import { BRIDGE_SETTINGS, PORT_SETTINGS } from '../../lib/cli/commands/bridge-settings.js'
import { messageOf } from '../../lib/cli/failure.js'
import { usageLine } from '../../lib/cli/help.js'
import { chooseAction, parseFor, survey } from '../../lib/cli/parse.js'
import { COMMANDS } from '../../lib/cli/registry.js'
import { run } from '../../lib/cli/run.js'
import { givenSettings, settingOptions } from '../../lib/cli/settings.js'
import { UsageError } from '../../lib/cli/usage.js'
import { decimal, integer, oneOf, someOf, vlanOrNone } from '../../lib/cli/values.js'
import { invalidArgument, NfkitError, outOfRange } from '../../lib/errors.js'

const nothing = () => {}
const tool: Command = {
  name: 'tool',
  actions: [
    action({ words: '', args: '', summary: 's', options: {}, run: nothing }),
    action({ words: 'port add', args: 'BRIDGE PORT', summary: 's', options: { cost: { type: 'value', value: 'N', help: 'h' }, learning: { type: 'switch', help: 'h' } }, run: nothing }),
    action({ words: 'port', args: '[NAME]', summary: 's', options: { all: { type: 'flag', short: 'a', help: 'h' } }, run: nothing }),
    action({ words: 'run', args: '-- COMMAND [ARG...]', summary: 's', bare: true, options: {}, run: nothing }),
  ],
}

function parse(...words: string[]) {
  const found = chooseAction(tool, survey(tool, words).positionals)
  return { words: found.words, ...parseFor(found, words) }
}

t.test('the action with the most words', (t) => {
  t.same(parse(), { words: '', args: [], options: {} })
  t.same(parse('port'), { words: 'port', args: [], options: {} })
  t.same(parse('port', 'x'), { words: 'port', args: ['x'], options: {} })
  t.same(parse('port', 'add', 'br0', 'eth0'), { words: 'port add', args: ['br0', 'eth0'], options: {} })
  t.same(parse('--json', 'port', '--cost', '5', 'add', 'br0', '--no-learning', 'eth0'), { words: 'port add', args: ['br0', 'eth0'], options: { json: true, cost: '5', learning: false } })
  t.same(parse('--netns', 'port', 'port', '-a'), { words: 'port', args: [], options: { netns: 'port', all: true } }, 'the value of an option is no word')
  t.same(parse('port', '--', '--x'), { words: 'port', args: ['--x'], options: {} })
  t.end()
})

t.test('a whole command line after --', (t) => {
  t.same(parse('run', '--', 'ls', '--json', '--', '-h'), { words: 'run', args: ['ls', '--json', '--', '-h'], options: {} })
  t.equal(survey(tool, ['run', '--', 'ls', '--help']).help, false, 'its options are its own')
  t.equal(survey(tool, ['run', '--help']).help, true)
  t.throws(() => parse('run', 'ls'), /"ls" comes before --/)
  t.throws(() => parse('run', '--'), { message: 'COMMAND is missing' })
  t.throws(() => parse('run'), /-- COMMAND is missing/)
  t.end()
})

t.test('what is wrong with a command line', (t) => {
  const wrong: [words: string[], message: string][] = [
    [['what'], 'tool: there is no "what"'],
    [['port', 'add'], 'BRIDGE is missing'],
    [['port', 'add', 'br0'], 'PORT is missing'],
    [['port', 'add', 'br0', 'p', 'q'], '"q" is one argument too many'],
    [['port', '--cost', '5'], 'there is no option "--cost"'],
    [['port', '--colour'], 'there is no option "--colour"'],
    [['port', '--no-all'], 'there is no option "--no-all"'],
    [['port', '-x'], 'there is no option "-x"'],
    [['port', '--json=1'], '--json takes no value'],
    [['port', 'add', 'a', 'b', '--cost'], '--cost needs a value: N'],
    [['port', 'add', 'a', 'b', '--cost', '--json'], '--cost needs a value: N'],
    [['port', 'add', 'a', 'b', '--cost', '1', '--cost', '2'], '--cost is given twice'],
    [['port', 'add', 'a', 'b', '--learning', '--no-learning'], '--learning is given twice'],
  ]
  for (const [words, message] of wrong) t.throws(() => parse(...words), { name: 'UsageError', message }, words.join(' '))
  t.end()
})

t.test('any words: an action or a usage error', (t) => {
  const word = fc.oneof(fc.constantFrom('port', 'add', 'run', '--', '--cost', '--cost=1', '--json', '-a', '-n', '--no-learning', '__proto__', '--__proto__', '--constructor=1', 'toString', '-'), fc.string())
  fc.assert(fc.property(fc.array(word, { maxLength: 8 }), (words) => {
    try {
      const { args, options } = parse(...words)
      for (const name of Object.keys(options)) if (!['json', 'netns', 'help', 'cost', 'learning', 'all'].includes(name)) return false
      return args.every((arg) => words.includes(arg))
    } catch (error) {
      return error instanceof UsageError
    }
  }), { numRuns: 2000 })
  t.end()
})

t.test('values', (t) => {
  t.equal(integer('--x', '0x10'), 16)
  t.equal(integer('--x', '007'), 7)
  for (const text of ['', '-1', '1.5', '1e3', ' 1', '0x', 'ten']) t.throws(() => integer('--x', text), { name: 'UsageError', message: `--x: expected a whole number, got ${JSON.stringify(text)}` })
  t.equal(decimal('--x', '0.25'), 0.25)
  for (const text of ['', '.5', '1.', '-1', 'Infinity', 'NaN', '1e3']) t.throws(() => decimal('--x', text), UsageError)
  t.equal(oneOf('--x', 'a', ['a', 'b']), 'a')
  t.throws(() => oneOf('--x', 'toString', ['a', 'b']), { message: '--x: expected a or b, got "toString"' })
  t.same(someOf('--x', 'a,b', ['a', 'b']), ['a', 'b'])
  t.throws(() => someOf('--x', 'a,,b', ['a', 'b']), UsageError)
  t.equal(vlanOrNone('none'), null)
  t.equal(vlanOrNone('12'), 12)
  t.end()
})

t.test('settings are options by their path', (t) => {
  const options = settingOptions(BRIDGE_SETTINGS)
  t.match(options['stp'], { type: 'switch' })
  t.match(options['multicast-query-use-ifaddr'], { type: 'switch' })
  t.match(options['netfilter-call-ip6tables'], { type: 'switch' })
  t.match(options['stp-max-age'], { type: 'value', value: 'SECONDS' })
  t.equal(Object.keys(options).length, Object.keys(BRIDGE_SETTINGS).length, 'no two have one name')
  t.equal(Object.keys(settingOptions(PORT_SETTINGS)).length, Object.keys(PORT_SETTINGS).length)
  t.same(givenSettings(BRIDGE_SETTINGS, { stp: true, 'stp-forward-delay': '4.5', 'group-forward-mask': '0x8', up: false, mac: 'x' }),
    { stp: { enabled: true, forwardDelay: 4.5 }, groupForwardMask: 8, up: false, mac: 'x' })
  t.throws(() => givenSettings(BRIDGE_SETTINGS, { 'stp-forward-delay': 'soon' }), { message: '--stp-forward-delay: expected a number, got "soon"' })
  t.end()
})

t.test('errors: what they say and the status they make', (t) => {
  const add = cam.actions.find(({ words }) => words === 'add')!
  t.same(messageOf(new UsageError('no')), { message: 'no', status: 2 })
  t.same(messageOf(invalidArgument('mac', 'a MAC address', 'x'), add), { message: 'MAC: expected a MAC address, got "x"', status: 2 })
  t.same(messageOf(outOfRange('vlan', 'an integer from 1 to 4094', 0), add), { message: '--vlan: expected an integer from 1 to 4094, got 0', status: 2 })
  t.equal(messageOf(invalidArgument('link', 'an interface name', 'a b'), add).message, 'BRIDGE: expected an interface name, got "a b"')
  t.same(messageOf(outOfRange('vlan', 'less', 0)), { message: 'vlan: expected less, got 0', status: 2 })
  t.match(messageOf(NfkitError.fromErrno(19, 'RTM_GETLINK', 'looking up link x')), { message: /ENODEV/, status: 1 })
  t.same(messageOf(new NfkitError('NFKIT_X', 'it is so')), { message: 'it is so (NFKIT_X)', status: 1 })
  t.same(messageOf(new NfkitError('NFKIT_X', "with { via: 'self' } or { other: 'x' }"), add).message, "with --via self or { other: 'x' } (NFKIT_X)")
  t.same(messageOf(new NfkitError('EPERM', 'a\x1b[31m: EPERM')), { message: 'a\\x1b[31m: EPERM', status: 1 })
  t.same(messageOf(Object.assign(new Error('spawn x ENOENT'), { code: 'ENOENT' })), { message: 'spawn x ENOENT', status: 1 })
  t.match(messageOf(new TypeError('Cannot read properties of undefined')), { message: /^internal error.*\n.*at /s, status: 1 }, 'a mistake of ours is not one of the user')
  t.match(messageOf('text'), { status: 1 })
  t.end()
})

t.test('what the commands declare is consistent', async (t) => {
  for (const { name, load } of COMMANDS) {
    const command = await load()
    t.equal(command.name, name)
    const shapes = new Map<string, string>()
    for (const each of command.actions) {
      const specs = optionsOf(each)
      const shorts = Object.values(specs).flatMap(({ short }) => short ?? [])
      t.equal(new Set(shorts).size, shorts.length, `${usageLine(name, each)}: short options`)
      for (const [option, { type }] of Object.entries(specs)) {
        if (!/^[a-z][a-z0-9-]*$/.test(option)) t.fail(`${name}: ${option}`)
        // The words of an action are found before it is known which one it is.
        const shape = String(type === 'value')
        if ((shapes.get(option) ?? shape) !== shape) t.fail(`${name}: --${option} takes a value in one action and none in another`)
        shapes.set(option, shape)
      }
    }
  }
})

t.test('every command, action, and word that begins actions has its help', async (t) => {
  const helpOf = async (...words: string[]) => {
    let said = ''
    const stream = { write: (text: string) => { said += text; return true } } as unknown as NodeJS.WriteStream
    t.equal(await run([...words, '--help'], { stdout: stream, stderr: stream, env: {} }), 0, words.join(' '))
    return said
  }
  for (const { name, load } of COMMANDS) {
    const { actions } = await load()
    const beginnings = new Set(actions.flatMap(({ words }) => words.split(' ').map((_word, i, all) => all.slice(0, i).join(' '))))
    for (const words of new Set([...beginnings, ...actions.map((each) => each.words)])) {
      t.match(await helpOf(name, ...words.split(' ').filter((word) => word !== '')), new RegExp(`^usage: nfkit ${`${name} ${words}`.trim()}`))
    }
  }
  const group = await helpOf('bridge', 'port')
  t.match(group, /bridge port add BRIDGE PORT/)
  t.notMatch(group, /bridge address/)
})
