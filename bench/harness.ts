// SPDX-License-Identifier: MIT
// What every benchmark is made of: samples taken by turns, and rows that set ours beside a peer of the same run.

/** One file of bench/benchmarks exports one of these as its default; nothing else has to know of it. */
export interface Benchmark {
  /** One line for `--list`. */
  readonly about: string
  /** The benchmark is ended after this many minutes; 15 unless told. */
  readonly minutes?: number
  run(bench: Bench): Promise<void>
}

/** What a benchmark is given. It runs in a process and a network namespace of its own. */
export interface Bench {
  /** Few rounds and no slow peers: to see that it works, not for figures. */
  readonly quick: boolean
  /** Tells the user what is being done. */
  log(text: string): void
  /** A line of the table. */
  report(row: Row): void
  /** A sentence below the table. */
  note(text: string): void
}

/** `/s` is better when large, the others when small; `instr` are instructions of a guest. */
export type Unit = 'ms' | 'ns' | 'instr' | 'MiB' | '/s'

/** What several samples come to. */
export interface Summary {
  readonly unit: Unit
  readonly median: number
  /** The minimum; of a rate the maximum. */
  readonly best: number
  readonly count: number
}

export interface Row {
  readonly what: string
  /** How large a table, how many changes. */
  readonly size: string
  readonly ours: Summary | string
  readonly peer?: { readonly name: string; readonly value: Summary | string }
  /** `cost`: how many times what the peer takes. `speed`: how many times as fast as the peer. */
  readonly reading?: 'cost' | 'speed'
  readonly ratio?: number
  readonly ratioOfBest?: number
  /** In words, such as `at most 1.4`. */
  readonly target?: string
  readonly met?: boolean
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5)
}

/** The value below which a share of the samples lies; between two samples the mean of both weighed by nearness. */
export function quantile(samples: readonly number[], share: number): number {
  if (samples.length === 0) return NaN
  const sorted = [...samples].sort((a, b) => a - b)
  const at = share * (sorted.length - 1)
  const below = sorted[Math.floor(at)]!
  return below + (sorted[Math.ceil(at)]! - below) * (at - Math.floor(at))
}

export function summary(unit: Unit, samples: readonly number[]): Summary {
  return { unit, median: median(samples), best: unit === '/s' ? Math.max(...samples) : Math.min(...samples), count: samples.length }
}

/** A row with a ratio. `limit` is what is to be reached: of a cost at most, of a speed at least. */
export function comparison(
  { what, size, ours, peer, reading, limit }:
  { what: string; size: string; ours: Summary; peer: { name: string; value: Summary }; reading: 'cost' | 'speed'; limit?: number | undefined },
): Row {
  const cost = (a: number, b: number) => (ours.unit === '/s' ? b / a : a / b)
  const read = (value: number) => (reading === 'cost' ? value : 1 / value)
  const ratio = read(cost(ours.median, peer.value.median))
  const row = { what, size, ours, peer, reading, ratio, ratioOfBest: read(cost(ours.best, peer.value.best)) }
  if (limit === undefined) return row
  return { ...row, target: `${reading === 'cost' ? 'at most' : 'at least'} ${limit}`, met: reading === 'cost' ? ratio <= limit : ratio >= limit }
}

/** One of those that take turns. */
export interface Contender {
  readonly name: string
  /** Takes one sample. */
  sample(): number | Promise<number>
  /** At most this many samples, spread over the rounds. */
  readonly rounds?: number | undefined
  /** Samples to throw away at first; 1 unless told. */
  readonly warmUp?: number | undefined
  /** Takes no further sample once all of its own took this many milliseconds together; 30,000 unless told. */
  readonly budget?: number | undefined
  /** A peer that fails is left out and noted; without this a failure ends the benchmark. */
  readonly mayFail?: boolean | undefined
}

/**
 * Lets contenders take turns, beginning with another one each round, so that whatever else the machine does hits all of
 * them alike.
 * @returns the samples of each by name; of one that failed none
 */
export async function takeTurns(bench: Bench, contenders: readonly Contender[], rounds: number): Promise<Map<string, number[]>> {
  const samples = new Map(contenders.map(({ name }) => [name, [] as number[]]))
  const spent = new Map(contenders.map(({ name }) => [name, 0]))
  const failed = new Set<string>()
  async function turn(contender: Contender, keep: boolean): Promise<void> {
    const { name, mayFail, budget = 30_000 } = contender
    if (failed.has(name) || spent.get(name)! > budget) return
    const started = performance.now()
    try {
      const sample = await contender.sample()
      if (keep) samples.get(name)!.push(sample)
    } catch (error) {
      if (mayFail !== true) throw error
      failed.add(name)
      samples.set(name, [])
      bench.note(`${name} failed: ${error instanceof Error ? error.message : error}`)
    }
    if (keep) spent.set(name, spent.get(name)! + performance.now() - started)
  }
  for (const contender of contenders) {
    for (let i = 0; i < (contender.warmUp ?? 1); i++) await turn(contender, false)
  }
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < contenders.length; i++) {
      const contender = contenders[(round + i) % contenders.length]!
      const own = Math.min(contender.rounds ?? rounds, rounds)
      // Its turns, spread evenly: those rounds in which the share that is due passes an integer.
      if (Math.floor((round * own) / rounds) === Math.floor(((round - 1) * own) / rounds) && round > 0) continue
      await turn(contender, true)
    }
  }
  return samples
}

/** Where results go, so that none is optimised away or collected while its time is taken. */
export const kept: { last: unknown } = { last: undefined }

/**
 * Milliseconds for one of `times` calls in a row. The collector is left alone: it runs when somebody allocates, so who
 * leaves much behind pays for it, and one that is forced shrinks the heap, after which the same calls take half as long again.
 */
export function perCall(times: number, action: () => unknown): number {
  const started = performance.now()
  for (let i = 0; i < times; i++) kept.last = action()
  return (performance.now() - started) / times
}

/** As {@link perCall}, after one call that is not timed: what ran in between has taken the caches. For what can be repeated. */
export function perRepeatedCall(times: number, action: () => unknown): number {
  kept.last = action()
  return perCall(times, action)
}

/** Runs an action until it is warm; answers how many calls of it take about `milliseconds`. */
export function callsFor(milliseconds: number, action: () => unknown): number {
  const started = performance.now()
  let calls = 0
  let last = 0
  do {
    const before = performance.now()
    kept.last = action()
    last = performance.now() - before
    calls++
  } while (performance.now() - started < 10 * milliseconds && calls < 10_000)
  // The last call alone may have met a collection; the mean contains the cold ones.
  return Math.max(1, Math.round(milliseconds / Math.min(last, (performance.now() - started) / calls)))
}

/** 10000 as `10,000`. */
export function count(n: number): string {
  return n.toLocaleString('en-US')
}
