// SPDX-License-Identifier: MIT
// A mirror whose process is killed, or whose set-up fails, at any step: everything as before.

import t from 'tap'
import { Mirror, Rule } from '../../lib/index.js'
import { everything, mirrorChild, preparedLab } from '../support/mirror.js'
import { disturbSteps } from '../support/mirror-steps.js'
import { noModule, withModule } from '../support/module.js'
import { run } from '../support/outside.js'

withModule(t)
t.setTimeout(1_800_000)

/** Of a mirror of one family: ARP, blackhole, route, rule, the rules behind it, the rule with CLONE; the last five again for another one. */
const STEPS = 6
const FROM = { chain: 'INPUT', protocol: 'udp' } as const

t.test('killed at every step, then removed: all as before', { skip: noModule }, async (t) => {
  const { box, place, before } = await preparedLab(t)
  // Each process takes seconds in a guest: before a step and after the one before it the kernel is in the same state, the journal is not.
  for (let at = 0; at <= STEPS; at++) {
    for (const [family, when] of [['ipv4', 'before'], ['ipv6', 'after']] as const) {
      const whole = at === STEPS
      if (whole && family === 'ipv6') continue
      const { status, signal, steps, stderr } = mirrorChild({ options: { ...place, via: 'reroute', netns: box.netns.path, name: 'killed', from: FROM, family, to: 'eth2' }, at, when })
      t.match({ status, signal, steps }, whole ? { status: 0, steps: STEPS } : { signal: 'SIGKILL' }, `${when} step ${at} ${stderr}`)
      const begun = Math.min(at + 1, STEPS)
      const left = Mirror.list(place)
      t.match(left, [{ name: 'killed', state: whole ? 'up' : 'setting-up', abandoned: true }])
      t.equal(left[0]!.steps!.length, begun, 'the journal has the step that was begun, too')
      const undone = await Mirror.remove('killed', place)
      t.equal(undone.length, begun)
      if (!whole) t.equal(undone[0]!.result === 'gone', when === 'before' && !/priority 0 behind/.test(undone[0]!.step), undone[0]!.step)
      t.equal(everything(box), before, `${when} step ${at}`)
      t.same(Mirror.list(place), [])
    }
  }
})

t.test('killed within the removal, then removed once more', { skip: noModule }, async (t) => {
  const { box, place, before } = await preparedLab(t)
  const options = { ...place, via: 'reroute' as const, netns: box.netns.path, name: 'killed', from: FROM, family: 'ipv6' as const, to: 'eth2', persistent: true }
  for (const [at, when] of [[0, 'before'], [0, 'after'], [STEPS - 1, 'after']] as const) {
    const mirror = await Mirror.create({ ...options, ...place })
    await mirror.close()
    t.equal(mirrorChild({ options, remove: true, at, when }).signal, 'SIGKILL')
    t.match(Mirror.list(place), [{ name: 'killed', state: 'removing' }])
    const undone = await Mirror.remove('killed', place)
    t.equal(undone.length, STEPS - at, 'what was undone is not in the journal any more')
    t.equal(undone[0]!.result, when === 'after' ? 'gone' : 'undone', undone[0]!.step)
    t.equal(everything(box), before, `${when} step ${at}`)
  }
})

t.test('a failure at any step: nothing is left', { skip: noModule }, async (t) => {
  const { box, place, before } = await preparedLab(t)
  for (let at = 0; at < 2 * STEPS - 1; at++) {
    const steps = disturbSteps('apply', at, 'after', () => { throw new Error('on purpose') })
    try {
      await t.rejects(Mirror.create({ ...place, via: 'reroute', from: FROM, to: 'eth2' }), { message: 'on purpose' })
    } finally {
      steps.restore()
    }
    t.equal(steps.count, at + 1)
    t.equal(everything(box), before, `step ${at}`)
  }
  t.same(Mirror.list(place), [])
  // And one of the kernel's own: CLONE is refused in what PREROUTING leads to.
  run(box.netns, 'sh', '-ec', 'iptables-legacy -t mangle -N early; iptables-legacy -t mangle -A PREROUTING -j early')
  const furnished = everything(box)
  await t.rejects(Mirror.create({ ...place, via: 'reroute', from: { chain: 'early', table: 'mangle' }, family: 'ipv4', to: 'eth2' }), { code: 'EINVAL' })
  t.equal(everything(box), furnished)
  t.same(Mirror.list(place), [])
})

t.test('a step that cannot be undone stays in the journal, the others do not', { skip: noModule }, async (t) => {
  const { box, place, before } = await preparedLab(t)
  const mirror = await Mirror.create({ ...place, via: 'reroute', name: 'stuck', from: FROM, to: 'eth2' })
  const steps = disturbSteps('undo', 4, 'before', () => { throw new Error('on purpose') })
  try {
    await t.rejects(mirror.close(), { code: 'NFKIT_PARTIAL', message: /stuck: not undone: ipv6 default route .*on purpose/, hint: /Mirror\.remove\('stuck'\)/ })
  } finally {
    steps.restore()
  }
  t.match(Mirror.list(place), [{ name: 'stuck', state: 'removing', steps: [/ipv6 default route/] }])
  await mirror.close()
  t.equal(everything(box), before)
})

t.test('ended in the middle of moving the rule for table local', { skip: noModule }, async (t) => {
  const { box, place, before } = await preparedLab(t)
  const { netns } = box
  const options = { ...place, via: 'reroute' as const, netns: netns.path, name: 'killed', from: FROM, family: 'ipv4' as const, to: 'eth2' }
  // Steps: arp, blackhole, route, rule, behind.
  t.equal(mirrorChild({ options, at: 4, when: 'before' }).signal, 'SIGKILL')
  Rule.add({ family: 'ipv4', priority: 0, table: 'local', protocol: 'kernel' }, { netns, duplicate: true })
  t.equal(run(netns, 'ip', 'rule').match(/^0:\tfrom all lookup local/gm)!.length, 2)
  t.match(await Mirror.remove('killed', place), [{ step: /priority 0 behind/, result: 'undone' }, { result: 'undone' }, { result: 'undone' }, { result: 'undone' }, { result: 'undone' }])
  t.equal(everything(box), before)
})
