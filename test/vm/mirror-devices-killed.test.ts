// SPDX-License-Identifier: MIT
// A mirror via devices whose process is killed, or whose set-up fails, at any step: everything as before.

import t from 'tap'
import { Mirror } from '../../lib/index.js'
import { everythingOf, mirrorChild, twoMonitors } from '../support/mirror.js'
import { disturbSteps } from '../support/mirror-steps.js'
import { noModule, withModule } from '../support/module.js'

withModule(t)
t.setTimeout(1_800_000)

/** Each of two steps: the target, and the rule of one family or the hook. */
const STEPS = 2
const RULE = { from: { chain: 'PREROUTING', protocol: 'udp' }, family: 'ipv4' } as const
const HOOK = { from: { at: 'ingress', in: 'eth0', match: { protocol: 'udp' } } } as const

t.test('killed at every step, then removed: all as before', { skip: noModule }, async (t) => {
  const { box, place, before } = await twoMonitors(t)
  // Each process takes seconds in a guest: before a step and after the one before it the kernel is in the same state, the journal is not.
  for (const [source, at, when] of [[RULE, 0, 'before'], [HOOK, 0, 'after'], [HOOK, 1, 'before'], [RULE, 1, 'after'], [HOOK, 1, 'after'], [RULE, STEPS, 'before']] as const) {
    const what = `${source === RULE ? 'rule' : 'hook'}, ${when} step ${at}`
    const { status, signal, steps, stderr } = mirrorChild({ options: { ...place, ...source, netns: box.netns.path, name: 'killed', to: ['eth2', 'eth3'] }, at, when })
    const whole = at === STEPS
    t.match({ status, signal, steps }, whole ? { status: 0, steps: STEPS } : { signal: 'SIGKILL' }, `${what} ${stderr}`)
    const left = Mirror.list(place)
    t.match(left, [{ name: 'killed', state: whole ? 'up' : 'setting-up', abandoned: true, via: 'devices', to: ['eth2', 'eth3'] }])
    t.equal(left[0]!.steps!.length, Math.min(at + 1, STEPS), 'the journal has the step that was begun, too')
    const undone = await Mirror.remove('killed', place)
    t.same(undone.map(({ result }) => result), [...(whole ? [] : [when === 'before' ? 'gone' : 'undone']), ...Array<string>(whole ? STEPS : at).fill('undone')], what)
    t.equal(everythingOf(box), before, what)
    t.same(Mirror.list(place), [])
  }
})

t.test('killed within the removal, then removed once more', { skip: noModule }, async (t) => {
  const { box, place, before } = await twoMonitors(t)
  for (const [source, at, when] of [[HOOK, 0, 'after'], [RULE, 1, 'after']] as const) {
    const options = { ...place, ...source, name: 'killed', to: 'eth2', persistent: true }
    await (await Mirror.create(options)).close()
    t.equal(mirrorChild({ options: { ...options, netns: box.netns.path }, remove: true, at, when }).signal, 'SIGKILL')
    t.match(Mirror.list(place), [{ name: 'killed', state: 'removing' }])
    t.same((await Mirror.remove('killed', place)).map(({ result }) => result), at === 0 ? ['gone', 'undone'] : ['gone'])
    t.equal(everythingOf(box), before)
  }
})

t.test('a failure at any step: nothing is left', { skip: noModule }, async (t) => {
  const { box, place, before } = await twoMonitors(t)
  for (const source of [{ from: RULE.from }, HOOK]) {
    for (let at = 0; at < (source === HOOK ? STEPS : STEPS + 1); at++) {
      const steps = disturbSteps('apply', at, 'after', () => { throw new Error('on purpose') })
      try {
        await t.rejects(Mirror.create({ ...place, ...source, to: ['eth2', 'eth3'] }), { message: 'on purpose' })
      } finally {
        steps.restore()
      }
      t.equal(steps.count, at + 1)
      t.equal(everythingOf(box), before, `step ${at}`)
    }
  }
  t.same(Mirror.list(place), [])
})
