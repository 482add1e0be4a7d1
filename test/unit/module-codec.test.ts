// SPDX-License-Identifier: MIT
// /dev/nfkit: what is asked in bytes, and what comes back.

import t from 'tap'
import { decodeInfo, decodeList, encodeInfo, encodeList, listCountOf } from '../../lib/wire/module/device.js'
import { decodeHookGet, decodeHookStats, encodeHookGet, encodeHookSet, type HookConfig } from '../../lib/wire/module/hook.js'
import { Struct } from '../../lib/wire/module/layout.js'
import { HOOK_GET, HOOK_SET, HOOK_STATS, INFO, LIST, OUTPUT_STATE, STATS, TARGET_GET } from '../../lib/wire/module/structs.js'
import { type CloneConfig, decodeTargetGet, encodeTargetGet, encodeTargetSet } from '../../lib/wire/module/target.js'
import { NfkitError } from '../../lib/errors.js'
import fc from '../support/fast-check.js'
import { hexOf } from './support.js'

const ascii = (text: string, size: number) => hexOf(Uint8Array.from({ length: size }, (_, i) => text.charCodeAt(i) || 0))

const TARGET: CloneConfig = {
  devices: [{ device: 'eth0' }, { device: 'eth1', vlan: { id: 5, priority: 7, protocol: '802.1ad' }, destination: '02:00:00:00:00:01' }],
  reroute: 0xffffffff, capture: true, snaplen: 128, sample: 10, random: true, rate: 1000, burst: 100, queueLimit: 50, dropOldest: true, defer: true,
}

t.test('a clone target', async (t) => {
  const { set, outputs } = encodeTargetSet('a', TARGET, { persistent: true, create: true })
  t.equal(hexOf(set), `50000000${'7f000000'}${ascii('a', 32)}ffffffff0a00000080000000e8030000640000003200000002000000200000000000000000000000`)
  t.equal(hexOf(outputs), `${ascii('eth0', 16)}${'00'.repeat(16)}${ascii('eth1', 16)}03000000a88805e00200000000010000`)
  const { get, outputs: states } = encodeTargetGet('a', 2)
  const answer = new Struct(TARGET_GET, get).set('flags', 0x1007d).set('mark', 0xffffffff).set('sample', 10).set('output_count', 2).set('rules', 3).set('hooks', 2).set('captures', 1)
  answer.set('snaplen', 128).set('rate', 1000).set('burst', 100).set('queue_limit', 50)
  answer.within('stats', STATS).set('sent', 2 ** 40).set('too_big', 3)
  for (let i = 0; i < 2; i++) states.set(outputs.subarray(32 * i, 32 * (i + 1)), i * OUTPUT_STATE.size)
  new Struct(OUTPUT_STATE, states, OUTPUT_STATE.size).set('ifindex', 7)
  const none = { seen: 0, sampledOut: 0, limited: 0, cloned: 0, sent: 0, bytes: 0, queued: 0, lost: {} }
  t.same(decodeTargetGet(get, states), {
    ...TARGET, name: 'a', persistent: true, own: true, rules: 3, hooks: 2, captures: 1, ...none, sent: 2 ** 40, lost: { tooBig: 3 },
    devices: [{ device: 'eth0', index: null, ...none }, { ...TARGET.devices[1], index: 7, ...none }],
  })
})

const HOOK: HookConfig = {
  at: 'forward', family: 'ipv6', priority: -150, in: 'eth0', out: null, physIn: null, physOut: 'p1', verdict: { repeat: 3 }, mark: { value: 1, mask: 0xf0 }, clone: 'probe',
  program: { link: 'EN10MB', instructions: [{ code: 6, jt: 0, jf: 0, k: 0xffffffff }], undecided: true },
}

t.test('a hook', async (t) => {
  const { set, instructions } = encodeHookSet('h', HOOK, { persistent: true, create: false })
  t.equal(hexOf(set), `b0000000${'31000000'}${ascii('h', 32)}020204006affffff${ascii('eth0', 16)}${'00'.repeat(32)}${ascii('p1', 16)}01000000f00000000000000003000000${ascii('probe', 32)}` +
    `0100000001000000${'00'.repeat(8)}`)
  t.equal(hexOf(instructions), '06000000ffffffff')
  const verdicts = [
    ['accept', 'accept', null], ['drop', 'drop', 'c'], [{ redirect: 't' }, { redirect: 't', onFail: 'accept' }, null], [{ redirect: 't', onFail: 'drop' }, { redirect: 't', onFail: 'drop' }, null],
    [{ queue: 65535 }, { queue: 65535, bypass: false }, 'c'], [{ queue: 1, bypass: true }, { queue: 1, bypass: true }, null], [{ repeat: 16 }, { repeat: 16 }, null],
  ] as const
  for (const [verdict, told, clone] of verdicts) {
    const config: HookConfig = { ...HOOK, verdict, clone }
    const { set, instructions } = encodeHookSet('h', config, { persistent: false, create: true })
    const { get, instructions: room } = encodeHookGet('h', 1)
    get.set(set)
    room.set(instructions)
    new Struct(HOOK_GET, get).within('stats', HOOK_STATS).set('no_header', 5)
    const { own, persistent, noHeader, seen, ...rest } = decodeHookGet(get, room)
    t.match(decodeHookStats(get), { noHeader: 5, seen: 0 })
    t.match(rest, { ...config, name: 'h', verdict: told })
    t.same([own, persistent, noHeader, seen], [false, false, 5, 0])
  }
})

t.test('a hook for everything, and one of a newer module', async (t) => {
  const config: HookConfig = {
    at: 'ingress', family: null, priority: 0, in: 'e', out: null, physIn: null, physOut: null, verdict: 'accept', mark: null, clone: null, program: null,
  }
  const { set, instructions } = encodeHookSet('x', config, { persistent: false, create: false })
  t.equal(instructions.length, 0)
  const { get } = encodeHookGet('x', 0)
  get.set(set)
  t.match(decodeHookGet(get, instructions), { ...config, name: 'x' })
  t.equal(new Struct(HOOK_SET, encodeHookSet('x', { ...config, at: 'local-in', in: null }, { persistent: false, create: false }).set).get('family'), 3)
  for (const [field, value] of [['point', 200], ['verdict', 9]] as const) {
    const newer = get.slice()
    new Struct(HOOK_GET, newer).within('hook', HOOK_SET).set(field, value)
    t.throws(() => decodeHookGet(newer, instructions), { code: 'EBADMSG' })
  }
})

t.test('what the module has, and lists', async (t) => {
  const info = encodeInfo()
  new Struct(INFO, info).set('features', 0x10021).set('hooks', 4).set('max_targets', 1024)
  t.match(decodeInfo(info), { features: ['targets', 'hooks'], hooks: 4, maxTargets: 1024, targets: 0 })
  const { list, names } = encodeList(2)
  names.set([97, 98], 32)
  names.set([99], 0)
  new Struct(LIST, list).set('count', 5)
  t.same(decodeList(list, names), ['c', 'ab'], 'no more than there was room for')
  t.equal(listCountOf(list), 5)
})

t.test('whatever the bytes of an answer', async (t) => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
  fc.assert(fc.property(bytes(TARGET_GET.size), bytes(2 * OUTPUT_STATE.size), (get, outputs) => {
    const { devices } = decodeTargetGet(get, outputs)
    return devices.length <= 2
  }))
  fc.assert(fc.property(bytes(HOOK_GET.size), bytes(16), fc.nat(12), fc.nat(5), fc.constantFrom(0, 1, 101), (get, instructions, point, verdict, link) => {
    new Struct(HOOK_GET, get).within('hook', HOOK_SET).set('point', point).set('verdict', verdict).set('link', link)
    try {
      return (decodeHookGet(get, instructions).program?.instructions.length ?? 0) <= 2
    } catch (error) {
      return error instanceof NfkitError && error.code === 'EBADMSG'
    }
  }))
  fc.assert(fc.property(bytes(LIST.size), bytes(64), (list, names) => decodeList(list, names).length <= 2))
  fc.assert(fc.property(bytes(INFO.size), (info) => decodeInfo(info).features.length <= 9))
  t.pass()
})
