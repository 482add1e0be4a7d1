// SPDX-License-Identifier: MIT
// Tables of what the guest measured.

import { comparison, median, type Row, summary, type Unit } from '../harness.js'
import type { Path } from './network.js'
import { WAYS } from './ways.js'

export interface Sample {
  readonly path: Path
  /** Bytes of a frame. */
  readonly size: number
  readonly way: string
  /** With the way's copies; false: the same traffic without, taken right before. */
  readonly with: boolean
  readonly round: number
  readonly packets: number
  readonly nanoseconds: number
  /** What was not delivered as it should be. */
  readonly problem?: string
  /** How often it was taken again. */
  readonly again: number
}

/** What the guest says. */
export type Message =
  | ({ kind: 'sample' } & Sample)
  | { kind: 'lost'; path: Path; way: string; text: string }
  | { kind: 'note'; text: string }
  | { kind: 'log'; text: string }

export interface Report {
  /** What a copy costs, beside each peer. */
  readonly costs: Row[]
  /** How fast the originals are with each way and without. */
  readonly originals: Row[]
  readonly notes: string[]
  readonly failures: string[]
}

/** @param unit  of one nanosecond of the guest's clock */
export function report(messages: readonly Message[], unit: Unit): Report {
  const samples = messages.filter((message) => message.kind === 'sample')
  const notes = [...new Set(messages.filter((message) => message.kind === 'note').map(({ text }) => text))]
  const failures = [...new Set([
    ...messages.filter((message) => message.kind === 'lost').map(({ path, way, text }) => `${way} at ${path}: ${text}`),
    ...samples.flatMap(({ path, size, way, problem, with: copied }) => (problem === undefined ? [] : [`${way} at ${path}, ${size} bytes${copied ? '' : ', without it'}: ${problem}`])),
  ])]
  const costs: Row[] = []
  const originals: Row[] = []
  const repeated = samples.reduce((sum, { again }) => sum + again, 0)
  if (repeated > 0) notes.push(`${repeated} of ${samples.length + repeated} samples were taken again, since packets were waiting when the generator ended`)

  for (const path of [...new Set(samples.map((sample) => sample.path))]) {
    for (const size of [...new Set(samples.map((sample) => sample.size))]) {
      const here = samples.filter((sample) => sample.path === path && sample.size === size)
      const each = (way: string, copied: boolean) => here.filter((sample) => sample.way === way && sample.with === copied)
        .sort((a, b) => a.round - b.round).map(({ nanoseconds, packets }) => nanoseconds / packets)
      const cost = (way: string) => {
        const without = each(way, false)
        return summary(unit, each(way, true).map((value, i) => value - without[i]!))
      }
      const hasFailed = (way: string) => failures.some((text) => text.startsWith(`${way} at ${path}`))
      const label = `${size} B`
      const plain = here.filter((sample) => !sample.with && WAYS.find(({ name }) => name === sample.way)?.setup === undefined).map(({ nanoseconds, packets }) => nanoseconds / packets)
      costs.push({ what: `${path}: a packet without a copy`, size: label, ours: summary(unit, plain) })

      for (const { name, against } of WAYS.filter((way) => here.some((sample) => sample.way === way.name))) {
        const what = `${path}: ${name}`
        if (hasFailed(name)) {
          const targets = (against?.[path] ?? []).filter(({ atMost }) => atMost !== undefined)
          const failed = { what, size: label, ours: 'FAILED' }
          if (targets.length === 0) costs.push(failed)
          for (const { peer, atMost } of targets) costs.push({ ...failed, peer: { name: peer, value: '' }, target: `at most ${atMost}`, met: false })
          continue
        }
        const ours = cost(name)
        const peers = (against?.[path] ?? []).filter(({ peer }) => here.some((sample) => sample.way === peer) && !hasFailed(peer))
        if (peers.length === 0) costs.push({ what, size: label, ours })
        for (const { peer, atMost } of peers) {
          const value = cost(peer)
          // What costs less than nothing was measured on too busy a machine: no figure, so no target that is met.
          if (ours.median > 0 && value.median > 0) costs.push(comparison({ what, size: label, ours, peer: { name: peer, value }, reading: 'cost', limit: atMost }))
          else costs.push({ what, size: label, ours, peer: { name: peer, value }, ...(atMost === undefined ? {} : { target: `at most ${atMost}`, met: false }) })
        }
        // Of the guest's clock a second, be it instructions.
        const rate = (values: readonly number[]) => summary('/s', [1e9 / median(values)])
        originals.push(comparison({
          what: `${path}: originals with ${name}`, size: label, ours: rate(each(name, true)), peer: { name: 'without', value: rate(each(name, false)) }, reading: 'speed',
        }))
      }
    }
  }
  return { costs, originals, notes, failures }
}
