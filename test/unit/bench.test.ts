// SPDX-License-Identifier: MIT
// The figures are only worth what computes them.

import t from 'tap'
import { type Bench, comparison, type Contender, median, quantile, type Row, summary, takeTurns } from '../../bench/harness.js'
import { type Message, report } from '../../bench/kernel/report.js'
import { number, table, value } from '../../bench/table.js'

function bench() {
  const notes: string[] = []
  const rows: Row[] = []
  const it: Bench = { quick: false, log() {}, note: (text) => { notes.push(text) }, report: (row) => { rows.push(row) } }
  return { bench: it, notes, rows }
}

t.test('medians and quantiles', async (t) => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 2, 3]), 2.5)
  t.equal(quantile([1, 2, 3, 4, 5], 1), 5)
  t.equal(quantile(Array.from({ length: 101 }, (_, i) => i), 0.99), 99)
  t.ok(Number.isNaN(median([])))
})

t.test('a ratio reads as what is asked for', async (t) => {
  const ours = summary('ms', [2, 4, 3])
  const peer = { name: 'peer', value: summary('ms', [6, 5, 7]) }
  const common = { what: 'w', size: '1', ours, peer }
  t.match(comparison({ ...common, reading: 'speed', limit: 2 }), { ratio: 2, ratioOfBest: 2.5, target: 'at least 2', met: true })
  t.match(comparison({ ...common, reading: 'speed', limit: 2.1 }), { met: false })
  t.match(comparison({ ...common, reading: 'cost', limit: 0.5 }), { ratio: 0.5, target: 'at most 0.5', met: true })
  t.match(comparison({ ...common, reading: 'cost', limit: 0.4 }), { met: false })
  t.equal(comparison({ ...common, reading: 'cost' }).met, undefined)
  // Of a rate more is better.
  const rate = comparison({ what: 'w', size: '1', ours: summary('/s', [100, 200, 300]), peer: { name: 'peer', value: summary('/s', [50, 50, 100]) }, reading: 'speed', limit: 4 })
  t.match(rate, { ratio: 4, ratioOfBest: 3, met: true })
})

t.test('contenders take turns; slow ones fewer', async (t) => {
  const { bench: it, notes } = bench()
  const order: string[] = []
  const contender = (name: string, rest: Partial<Contender> = {}): Contender => ({ name, sample: () => { order.push(name); return order.length }, ...rest })
  const samples = await takeTurns(it, [
    contender('a'), contender('b', { warmUp: 0 }), contender('slow', { rounds: 2, warmUp: 0 }),
    contender('broken', { mayFail: true, sample: () => { throw new Error('is broken') } }),
  ], 6)
  t.same([samples.get('a')!.length, samples.get('b')!.length, samples.get('slow')!.length, samples.get('broken')!.length], [6, 6, 2, 0])
  t.equal(order.join(' '), 'a a b slow b a a b a b slow a b b a', 'a warm-up, then rounds that begin with another one each')
  t.same(notes, ['broken failed: is broken'])
  await t.rejects(takeTurns(it, [contender('ours', { sample: () => { throw new Error('must not fail') } })], 1), /must not fail/)
})

t.test('who has used up its time takes no more turns', async (t) => {
  const { bench: it } = bench()
  const samples = await takeTurns(it, [{ name: 'slow', budget: 10, warmUp: 0, async sample() { await new Promise((resolve) => setTimeout(resolve, 8)); return 1 } }], 50)
  t.ok(samples.get('slow')!.length >= 1 && samples.get('slow')!.length <= 3)
})

t.test('the table is aligned', async (t) => {
  const peer = { name: 'bridge -j', value: summary('ms', [10, 12]) }
  const text = table([
    comparison({ what: 'cam.entries()', size: '10,000', ours: summary('ms', [2, 2.2]), peer, reading: 'speed', limit: 9 }),
    { what: 'told', size: '5', ours: 'all', target: 'all', met: true },
  ])
  t.equal(text, [
    'what             size  ours            peer                      ratio                  target      met',
    '-------------  ------  --------------  ------------------------  ---------------------  ----------  ---',
    'cam.entries()  10,000  2.10 ms (2.00)  bridge -j 11.0 ms (10.0)  5.24 x as fast (5.00)  at least 9  NO',
    'told                5  all             -                         -                      all         yes',
  ].join('\n'))
  t.equal(value(summary('ms', [0.0123])), '12.3 us')
  t.equal(number(1234.5), '1,235')
  t.equal(number(NaN), '-')
})

t.test('a copy costs what a packet takes longer with it than right before', async (t) => {
  const turn = (way: string, round: number, without: number, copied: number, problem?: string): Message[] => [false, true].map((it) => ({
    kind: 'sample', path: 'INPUT', size: 60, way, with: it, round, packets: 10, nanoseconds: (it ? copied : without) * 10, again: 0,
    ...(it && problem !== undefined ? { problem } : {}),
  }))
  const samples = [
    ...turn('xt_TEE', 0, 100, 300), ...turn('CLONE --mark', 0, 100, 280),
    // A busy machine: all takes longer in the second round.
    ...turn('CLONE --mark', 1, 200, 420), ...turn('xt_TEE', 1, 200, 450),
  ]
  const { costs, failures } = report([...samples, { kind: 'note', text: 'a note' }], 'ns')
  t.same(failures, [])
  t.match(costs.find(({ what }) => what === 'INPUT: CLONE --mark'), {
    size: '60 B', ours: { median: 200, best: 180 }, peer: { name: 'xt_TEE', value: { median: 225 } }, ratio: 200 / 225, target: 'at most 1', met: true,
  })

  const noise = report([...turn('xt_TEE', 0, 300, 100), ...turn('CLONE --mark', 0, 100, 280)], 'ns')
  t.match(noise.costs.find(({ what }) => what === 'INPUT: CLONE --mark'), { ratio: undefined, target: 'at most 1', met: false }, 'less than nothing')

  const broken = report([...samples, ...turn('xt_TEE', 2, 100, 300, 'gw got 9 of 10 packets'), { kind: 'lost', path: 'INPUT', way: 'CLONE --mark', text: 'few came' }], 'ns')
  t.same(broken.failures, ['CLONE --mark at INPUT: few came', 'xt_TEE at INPUT, 60 bytes: gw got 9 of 10 packets'])
  t.match(broken.costs.find(({ what }) => what === 'INPUT: xt_TEE'), { ours: 'FAILED' })
  t.match(broken.costs.find(({ what }) => what === 'INPUT: CLONE --mark'), { ours: 'FAILED', target: 'at most 1', met: false })
})
