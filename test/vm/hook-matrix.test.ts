// SPDX-License-Identifier: MIT
// The matrix of hook points, cell by cell, every field wrong on its own, and whose hooks are. That HOOK_POINTS is the header's matrix is
// held in test/unit/module-structs.test.ts.

import t, { type Test } from 'tap'
import { Netns } from '../../lib/index.js'
import { ModuleDevice } from '../../lib/clone/device.js'
import { encodeInstructions } from '../../lib/wire/bpf/instruction.js'
import { COMMAND, FAMILY, HOOK_FLAG, LINK, OWN, VERDICT } from '../../lib/wire/module/constants.js'
import { encodeList } from '../../lib/wire/module/device.js'
import { HOOK_POINTS, type HookPoint } from '../../lib/wire/module/hook-points.js'
import { Struct } from '../../lib/wire/module/layout.js'
import { DELETE, HOOK_GET, HOOK_SET, LIST } from '../../lib/wire/module/structs.js'
import { hookAt, programOf, statsOf, targetOf } from '../support/hooks.js'
import { noModule, withModule } from '../support/module.js'

withModule(t)

type Field = keyof typeof HOOK_SET.fields
type Fields = Partial<Record<Field, number | string>>

const POINTS = Object.keys(HOOK_POINTS) as HookPoint[]
const DEVICES = { in: 'in', out: 'out', physIn: 'physin', physOut: 'physout' } as const
const ACCEPT_ALL = encodeInstructions([{ code: 6, jt: 0, jf: 0, k: 1 }])
const OWNED = { persistent: false, create: false }

function opened(t: Test): { netns: Netns; device: ModuleDevice } {
  const netns = Netns.create()
  const device = ModuleDevice.open(netns)
  t.teardown(() => { device.close(); netns.close() })
  return { netns, device }
}

/** The fewest fields that a point takes. */
function least(at: HookPoint): Fields {
  const rules = HOOK_POINTS[at]
  const needed = Object.entries(DEVICES).filter(([key]) => rules[key as keyof typeof DEVICES] === 'must').map(([, field]) => [field, 'dev0'])
  return { size: HOOK_SET.size, name: 'h', point: rules.number, family: rules.families ? FAMILY.ipv4 : 0, ...Object.fromEntries(needed) as Fields }
}

function structOf(fields: Fields): Struct<Field> {
  const set = new Struct(HOOK_SET)
  for (const [field, value] of Object.entries(fields) as [Field, number | string][]) {
    if (typeof value === 'string') set.setText(field, value)
    else set.set(field, value)
  }
  return set
}

/** The error's code, or `ok`; the hook is deleted again. */
function answer(device: ModuleDevice, fields: Fields, program: Uint8Array = new Uint8Array()): string {
  const set = structOf({ ...fields, ...(program.length > 0 && fields.instruction_count === undefined ? { instruction_count: program.length / 8 } : {}) })
  const code = codeOf(() => device.command(COMMAND.hookSet, set.bytes, 'hook', program.length === 0 ? [] : [set.bytes, set.offset('instructions'), program]))
  if (code === 'ok') device.deleteHook('h')
  return code
}

function codeOf(call: () => void): string {
  try {
    call()
    return 'ok'
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}

t.test('every cell of the matrix', { skip: noModule }, async (t) => {
  const { device } = opened(t)
  device.setTarget('devices', targetOf('dev1'), OWNED)
  device.setTarget('reroute', { ...targetOf(), reroute: 5 }, OWNED)
  for (const at of POINTS) {
    const rules = HOOK_POINTS[at]
    const base = least(at)
    const is = (allowed: boolean, what: string, fields: Fields, program?: Uint8Array) =>
      t.equal(answer(device, { ...base, ...fields }, program), allowed ? 'ok' : 'EINVAL', `${at}: ${what}`)
    is(true, 'with the least', {})
    for (const [key, field] of Object.entries(DEVICES)) {
      const presence = rules[key as keyof typeof DEVICES]
      is(presence !== 'never', field, { [field]: 'dev0' })
      if (presence === 'must') is(false, `without ${field}`, { [field]: '' })
    }
    for (const link of ['RAW', 'EN10MB'] as const) is(rules.links.includes(link), link, { link: LINK[link] }, ACCEPT_ALL)
    for (const family of [0, 1, 2, 3, 4, 7]) is(rules.families ? family >= 1 && family <= 3 : family === 0, `family ${family}`, { family })
    // Every verdict, with each field that may go with it or not.
    const verdicts: Record<keyof typeof VERDICT, Fields> = { accept: {}, drop: {}, redirect: { target: 'devices' }, queue: { queue: 65535 }, repeat: { repeat: 16, flags: HOOK_FLAG.mark } }
    for (const [verdict, needed] of Object.entries(verdicts) as [keyof typeof VERDICT, Fields][]) {
      const exists = verdict !== 'queue' || rules.queue
      const with_ = (allowed: boolean, what: string, fields: Fields) => is(exists && allowed, `${verdict} ${what}`, { verdict: VERDICT[verdict], ...needed, ...fields })
      with_(true, 'as it is', {})
      with_(rules.mark, 'with a mark', { flags: HOOK_FLAG.mark, mark: 0x10, mark_mask: 0xff })
      with_(verdict !== 'repeat', 'with a clone target', { target: 'devices' })
      with_(verdict !== 'repeat', 'with one that is not defined', { target: 'none' })
      with_(verdict !== 'repeat' && rules.reroute, 'with one that reroutes', { target: 'reroute' })
      with_(verdict !== 'redirect' && verdict !== 'repeat', 'without what it needs', { target: '', repeat: 0, flags: 0 })
      with_(verdict === 'queue', 'with bypass', { flags: HOOK_FLAG.bypass | Number(needed.flags ?? 0) })
      with_(verdict === 'redirect', 'with onFail drop', { flags: HOOK_FLAG.failDrop | Number(needed.flags ?? 0) })
      with_(verdict === 'queue', 'with a queue', { queue: 1 })
      with_(false, 'with a queue of 65536', { queue: 65536 })
      with_(verdict === 'repeat', 'with repeat', { repeat: 1 })
      with_(false, 'with repeat 17', { repeat: 17 })
    }
  }
  t.same(device.hookNames(), [], 'nothing is left')
})

t.test('a target that a hook without routes names takes no sink reroute', { skip: noModule }, async (t) => {
  const { device } = opened(t)
  device.setHook('h', hookAt('prerouting', 'ipv4', { clone: 'x' }), OWNED)
  t.equal(codeOf(() => device.setTarget('x', { ...targetOf('dev0'), reroute: 5 }, OWNED)), 'EINVAL')
  device.setTarget('x', targetOf('dev0'), OWNED)
  t.match(device.target('x'), { hooks: 1, rules: 0 })
  device.setHook('h', hookAt('forward', 'ipv4', { clone: 'x' }), OWNED)
  device.setTarget('x', { ...targetOf('dev0'), reroute: 5 }, OWNED)
  t.equal(codeOf(() => device.setHook('h', hookAt('ingress', 'ipv4', { clone: 'x', in: 'dev0' }), OWNED)), 'EINVAL')
  t.match(device.hook('h'), { at: 'forward', clone: 'x' }, 'as it was')
  t.match(device.target('x'), { hooks: 1 })
  device.deleteHook('h')
  t.match(device.target('x'), { hooks: 0 })
})

t.test('every field wrong on its own', { skip: noModule }, async (t) => {
  const { device } = opened(t)
  const base: Fields = { ...least('forward'), family: 3 }
  const wrong = (what: string, fields: Fields, program?: Uint8Array, code = 'EINVAL') => t.equal(answer(device, { ...base, ...fields }, program), code, what)
  for (let bit = 0; bit < 32; bit++) {
    if (![HOOK_FLAG.persistent, HOOK_FLAG.create, HOOK_FLAG.mark].includes(2 ** bit as never)) wrong(`flag 0x${(2 ** bit).toString(16)}`, { flags: 2 ** bit })
  }
  for (const point of [12, 128, 255]) wrong(`point ${point}`, { point })
  for (const verdict of [5, 255]) wrong(`verdict ${verdict}`, { verdict })
  wrong('reserved', { reserved: 1 })
  for (const name of ['', 'a/b', 'a b', 'é', 'x'.repeat(32)]) wrong(`name ${name}`, { name })
  for (const device of ['a/b', 'a:b', 'a b', '.', '..', 'x'.repeat(16)]) wrong(`device ${device}`, { in: device })
  wrong('a mark without its flag', { mark: 1 })
  wrong('a mask without its flag', { mark_mask: 1 })
  wrong('repeat without a mark', { verdict: VERDICT.repeat, repeat: 1 })
  wrong('repeat 0', { verdict: VERDICT.repeat, flags: HOOK_FLAG.mark })
  wrong('a link type without a program', { link: LINK.RAW })
  wrong('undecided without a program', { flags: HOOK_FLAG.undecided })
  wrong('a link type that is none', { link: 12 }, ACCEPT_ALL)
  wrong('no link type', {}, ACCEPT_ALL)
  wrong('no instructions', { link: LINK.RAW }, new Uint8Array(8))
  wrong('an unknown instruction', { link: LINK.RAW }, encodeInstructions([{ code: 0xffff, jt: 0, jf: 0, k: 0 }]))
  wrong('no end', { link: LINK.RAW }, encodeInstructions([{ code: 0, jt: 0, jf: 0, k: 0 }]))
  wrong('a jump beyond the end', { link: LINK.RAW }, encodeInstructions([{ code: 5, jt: 0, jf: 0, k: 9 }, { code: 6, jt: 0, jf: 0, k: 0 }]))
  wrong('4097 instructions', { link: LINK.RAW, instruction_count: 4097 }, new Uint8Array(4097 * 8))
  wrong('an address that is none', { link: LINK.RAW, instruction_count: 1, instructions: 8 }, undefined, 'EFAULT')
  for (const field of ['name', 'in', 'out', 'physin', 'physout', 'target'] as const) {
    const set = structOf({ ...base, [field]: 'a' })
    set.array(field)[5] = 1
    t.equal(codeOf(() => device.command(COMMAND.hookSet, set.bytes, 'hook')), 'EINVAL', `bytes behind ${field}`)
  }
  const sized = (size: number, rest = 0) => {
    const bytes = new Uint8Array(8192).fill(rest, HOOK_SET.size)
    bytes.set(structOf({ ...base, size }).bytes)
    const code = codeOf(() => device.command(COMMAND.hookSet, bytes, 'hook'))
    if (code === 'ok') device.deleteHook('h')
    return code
  }
  for (const size of [0, 1, 4, HOOK_SET.size - 8, HOOK_SET.size - 1]) t.equal(sized(size), 'EINVAL', `size ${size}`)
  for (const size of [HOOK_SET.size, HOOK_SET.size + 1, 4096]) t.equal(sized(size), 'ok', `size ${size}`)
  for (const size of [HOOK_SET.size + 1, 4096]) t.equal(sized(size, 1), 'E2BIG', `size ${size} with what is not known`)
  t.equal(sized(4097), 'E2BIG')
  t.same(device.hookNames(), [])

  // The questions.
  const get = (change: (get: Struct<'hook' | 'stats'>, hook: Struct<Field>) => void) => {
    const struct = new Struct(HOOK_GET)
    const hook = struct.within('hook', HOOK_SET).set('size', HOOK_GET.size).setText('name', 'here')
    change(struct, hook)
    return codeOf(() => device.command(COMMAND.hookGet, struct.bytes, 'get'))
  }
  device.setHook('here', hookAt('forward', 'ipv4'), OWNED)
  t.equal(get(() => {}), 'ok')
  for (const field of Object.keys(HOOK_SET.fields).filter((key) => !['size', 'name', 'instruction_count', 'instructions'].includes(key)) as Field[]) {
    t.equal(get((_, hook) => { hook.array(field)[0] = 1 }), 'EINVAL', `get with ${field}`)
  }
  t.equal(get((struct) => { struct.array('stats')[100] = 1 }), 'EINVAL', 'get with a counter')
  t.equal(get((_, hook) => { hook.set('instruction_count', 1).set('instructions', 8) }), 'EFAULT')
  t.equal(get((_, hook) => { hook.set('size', HOOK_SET.size) }), 'EINVAL', 'get of a smaller struct')
  t.equal(get((_, hook) => { hook.array('name')[0] = 0x41 }), 'ENOENT')
  const remove = new Struct(DELETE).set('size', DELETE.size).set('reserved', 1).setText('name', 'here')
  t.equal(codeOf(() => device.command(COMMAND.hookDelete, remove.bytes, 'delete')), 'EINVAL')
  const { list } = encodeList(1)
  new Struct(LIST, list).set('names', 8)
  t.equal(codeOf(() => device.command(COMMAND.hookList, list, 'list')), 'EFAULT')
  t.same(device.hookNames(), ['here'])
})

t.test('what was set comes back; whose it is; how many there may be', { skip: noModule }, async (t) => {
  const { netns, device } = opened(t)
  const other = ModuleDevice.open(netns)
  t.teardown(() => other.close())
  const config = hookAt('forward', 'ipv6', {
    family: null, priority: -2_147_483_648, in: 'eth5', out: 'eth6', physIn: 'p1', physOut: 'p2', verdict: { queue: 65535, bypass: true }, mark: { value: 0x80000001, mask: 0xffffffff },
    clone: 'a_target.with-a_long.name-31-by', program: programOf({ protocol: 'tcp', destinationPort: [1, 1000], length: [60, 1500] }),
  })
  device.setHook('h', config, { persistent: false, create: true })
  t.match(device.hook('h'), { ...config, name: 'h', own: true, persistent: false, seen: 0 })
  t.match(other.hook('h'), { own: false })
  const get = new Struct(HOOK_GET)
  get.within('hook', HOOK_SET).set('size', HOOK_GET.size).setText('name', 'h')
  device.command(COMMAND.hookGet, get.bytes, 'get')
  t.equal(get.within('hook', HOOK_SET).get('flags'), OWN | HOOK_FLAG.bypass | HOOK_FLAG.mark | HOOK_FLAG.undecided, 'flags')
  t.equal(get.within('hook', HOOK_SET).get('instruction_count'), config.program!.instructions.length, 'there was no room for instructions, and how many there are')
  t.equal(get.within('hook', HOOK_SET).get('size'), HOOK_GET.size)

  t.equal(codeOf(() => device.setHook('h', config, { persistent: false, create: true })), 'EEXIST')
  t.equal(codeOf(() => other.setHook('h', config, OWNED)), 'EPERM')
  t.equal(codeOf(() => other.setHook('h', config, { persistent: true, create: false })), 'EPERM')
  t.equal(codeOf(() => other.deleteHook('h')), 'EPERM')
  t.equal(codeOf(() => other.deleteHook('g')), 'ENOENT')
  device.setHook('h', config, { persistent: true, create: false })
  t.match(device.hook('h'), { own: false, persistent: true })
  other.setHook('h', hookAt('local-in', 'ipv4'), OWNED)
  t.match(other.hook('h'), { own: true, persistent: false, at: 'local-in' })
  t.equal(codeOf(() => device.deleteHook('h')), 'EPERM')
  other.deleteHook('h')
  t.equal(codeOf(() => device.hook('h')), 'ENOENT')

  const most = device.info().maxHooks
  for (let i = 0; i < most; i++) device.setHook(`h${i}`, hookAt('forward', 'ipv4', { program: null }), OWNED)
  t.equal(device.info().hooks, most)
  t.equal(codeOf(() => device.setHook('more', hookAt('forward', 'ipv4'), OWNED)), 'ENOSPC')
  device.setHook('h7', hookAt('local-in', 'ipv4'), OWNED)
  t.equal(device.hookNames().length, most)
  t.same(statsOf(device, 'h7'), {})
  device.close()
  t.same(other.hookNames(), [], 'they go with their descriptor')
  t.equal(other.info().hooks, 0)
})
