// SPDX-License-Identifier: MIT
// Hooks: what goes together at which point, and what matches become there, without a kernel.

import t from 'tap'
import { hookConfigOf, type HookSpec } from '../../lib/clone/hook-config.js'
import { Hook, type HookPoint, PacketMatch } from '../../lib/index.js'
import { runProgram } from '../../lib/wire/bpf/run.js'
import { HOOK_POINTS } from '../../lib/wire/module/hook-points.js'

const POINTS = Object.keys(HOOK_POINTS) as HookPoint[]
/** What every point takes. */
const least = (at: HookPoint): HookSpec => ({ at, verdict: 'accept', ...(at === 'ingress' ? { in: 'eth0' } : at === 'egress' ? { out: 'eth0' } : {}) })
const RETURN = [{ code: 6, jt: 0, jf: 0, k: 1 }]

t.test('the matrix', async (t) => {
  for (const at of POINTS) {
    const rules = HOOK_POINTS[at]
    t.ok(hookConfigOf(least(at)), at)
    for (const key of ['in', 'out', 'physIn', 'physOut'] as const) {
      const spec = { ...least(at), [key]: 'eth1' }
      if (rules[key] === 'never') t.throws(() => hookConfigOf(spec), { name: 'TypeError', message: new RegExp(`^${key}: .*\\b${at}\\b`) })
      else t.equal(hookConfigOf(spec)[key], 'eth1')
      if (rules[key] === 'must') t.throws(() => hookConfigOf({ ...least(at), [key]: undefined }), { name: 'TypeError', message: new RegExp(`^${key}: .*\\b${at}\\b`) })
    }
    for (const link of ['RAW', 'EN10MB'] as const) {
      const spec: HookSpec = { ...least(at), match: { program: RETURN, link } }
      if (rules.links.includes(link)) t.equal(hookConfigOf(spec).program?.link, link)
      else t.throws(() => hookConfigOf(spec), { name: 'TypeError', message: new RegExp(`^match.link: .*\\b${at}\\b`) })
    }
    const queue: HookSpec = { ...least(at), verdict: { queue: 3 } }
    if (rules.queue) t.same(hookConfigOf(queue).verdict, { queue: 3, bypass: false })
    else t.throws(() => hookConfigOf(queue), { name: 'TypeError', message: new RegExp(`^verdict: .*\\b${at}\\b`) })
    const family: HookSpec = { ...least(at), family: 'ipv6' }
    if (rules.families) t.equal(hookConfigOf(family).family, 'ipv6')
    else t.throws(() => hookConfigOf(family), { name: 'TypeError', message: new RegExp(`^family: .*\\b${at}\\b`) })
    t.same(hookConfigOf({ ...least(at), mark: 5 }).mark, { value: 5, mask: 0xffffffff })
    t.same(hookConfigOf({ ...least(at), verdict: { redirect: 'x' } }).verdict, { redirect: 'x', onFail: 'accept' })
    t.same(hookConfigOf({ ...least(at), verdict: { repeat: 16 }, mark: 1 }).verdict, { repeat: 16 })
    for (const verdict of ['accept', 'drop'] as const) t.match(hookConfigOf({ ...least(at), verdict, clone: 'x' }), { verdict, clone: 'x' })
  }
})

t.test('wrong values', async (t) => {
  const create = (spec: object) => () => Hook.create({ at: 'local-in', verdict: 'drop', ...spec } as never)
  const wrong: [object, object][] = [
    [{ at: 'input' }, TypeError], [{ at: undefined }, TypeError], [{ at: 'toString' }, TypeError], [{ verdict: 'stolen' }, TypeError], [{ verdict: undefined }, TypeError], [{ verdict: null }, TypeError],
    [{ verdict: {} }, RangeError], [{ verdict: { queue: 65536 } }, RangeError], [{ verdict: { queue: 1, repeat: 1 } }, TypeError], [{ verdict: { queue: 1, bypass: 1 } }, TypeError],
    [{ verdict: { redirect: 'a b' } }, RangeError], [{ verdict: { redirect: 'a', onFail: 'queue' } }, TypeError], [{ verdict: { repeat: 17 }, mark: 1 }, RangeError], [{ verdict: { repeat: 0 }, mark: 1 }, RangeError],
    [{ verdict: { repeat: 1 } }, TypeError], [{ verdict: { repeat: 1 }, mark: 1, clone: 'x' }, TypeError], [{ verdict: { redirect: 'a' }, clone: 'x' }, TypeError],
    [{ family: 'ip' }, TypeError], [{ priority: 2 ** 31 }, RangeError], [{ priority: '0' }, TypeError], [{ in: '' }, RangeError], [{ in: 7 }, TypeError], [{ in: 'x'.repeat(16) }, RangeError],
    [{ clone: 'x'.repeat(32) }, RangeError], [{ mark: -1 }, RangeError], [{ mark: { value: 1 } }, TypeError], [{ mark: { value: 1, mask: 2 ** 32 } }, RangeError], [{ mark: { value: 1, mask: 1, x: 1 } }, TypeError],
    [{ name: 'a b' }, RangeError], [{ persistent: true }, TypeError], [{ persistent: 1 }, TypeError], [{ matches: {} }, TypeError],
    [{ match: 5 }, TypeError], [{ match: { lenght: 5 } }, TypeError], [{ match: { program: [], link: 'RAW' } }, RangeError], [{ match: { program: RETURN } }, TypeError], [{ match: { program: RETURN, link: 'raw' } }, TypeError],
    [{ match: { program: [{ code: 0, jt: 0, jf: 0, k: 1 }], link: 'RAW' } }, TypeError], [{ match: { program: 'tcp', link: 'RAW' } }, TypeError], [{ match: { program: RETURN, link: 'RAW', undecided: 0 } }, TypeError],
  ]
  for (const [spec, kind] of wrong) t.throws(create(spec), kind as never, JSON.stringify(spec))
  t.throws(() => hookConfigOf({ at: 'local-out', verdict: 'drop', match: { sourceMac: '02:00:00:00:00:01' } }), { name: 'TypeError', message: /^match: .*local-out.*sourceMac/ })
})

t.test('matches at points of packets and of frames', async (t) => {
  const program = (at: HookPoint, match: HookSpec['match']) => hookConfigOf({ ...least(at), match }).program
  t.equal(program('local-in', {}), null)
  t.equal(program('local-in', { not: undefined } as never), null)
  t.equal(program('local-in', { length: 100 })?.link, 'RAW')
  t.equal(program('local-in', { length: 100, sourceMac: '02:00:00:00:00:01' })?.link, 'EN10MB')
  for (const at of ['bridge-forward', 'ingress', 'egress'] as const) t.equal(program(at, PacketMatch.create({ length: 100 }))?.link, 'EN10MB')
  t.same(program('ingress', { program: PacketMatch.create({ length: 100 }).program('RAW'), link: 'RAW' })?.link, 'RAW')
  t.same(program('local-in', { program: '1,6 0 0 5', link: 'RAW', undecided: true }), { link: 'RAW', instructions: [{ code: 6, jt: 0, jf: 0, k: 5 }], undecided: true })

  // Nine hop-by-hop headers of IPv6 and no end: nobody can say what is behind them.
  const long = new Uint8Array(40 + 9 * 8)
  long.set([0x60, 0, 0, 0, 0, 72, 0])
  const { instructions, undecided } = program('local-in', { protocol: 'udp' })!
  t.equal(undecided, true)
  t.equal(runProgram(instructions, long), 0xfffffffe)
  t.equal(runProgram(program('local-in', { length: 112 })!.instructions, long), 0xffffffff)
})
