// SPDX-License-Identifier: MIT
// A mirror as users see it.

import type { IpFamily } from '../wire/ip.js'
import type { MirrorHookSource } from './hook-source.js'
import { isAlive } from './owner.js'
import type { MirrorRecord } from './record.js'
import { describeStep } from './step.js'
import type { DamagedJournal } from './store.js'

/** A mirror as its journal has it. */
export interface MirrorInfo {
  /** What it is called. */
  name: string
  /**
   * `up`: all of it was set up. `setting-up`, `removing`: somebody is about it, or ended within and left what `Mirror.remove` undoes.
   * `damaged`: the journal cannot be read, `problem` says why, and nothing else is known.
   */
  state: 'up' | 'setting-up' | 'removing' | 'damaged'
  /** Why a damaged journal cannot be read. */
  problem?: string
  /** Of the packets; empty at a hook point of frames. */
  families?: IpFamily[]
  /** `rules`: what selects the packets, as iptables-save has it. Or a hook point. */
  from?: { table: string; chain: string; rules: string[] } | MirrorHookSource
  /** Names of the ports. */
  to?: string[]
  /** How copies get to the ports. */
  via?: 'devices' | 'reroute'
  /** Via `devices`: the name of its clone target, and of its hook if there is one. */
  target?: string
  /** Via `reroute`: the mark of the copies. */
  mark?: number
  /** Via `reroute`: the routing table. */
  table?: number
  /** Whether it is meant to stay when its process ends. */
  persistent?: boolean
  /** Whether it is neither persistent nor its process is still there: what a crash left. */
  abandoned?: boolean
  /** The process that made it. */
  pid?: number
  /** ISO 8601. */
  created?: string
  /** What was set up for it, in its order, in words. */
  steps?: string[]
}

export function infoOf(record: MirrorRecord): MirrorInfo {
  const { name, state, families, from, to, via, persistent, owner, created, steps } = record
  const abandoned = (!persistent || state !== 'up') && !isAlive(owner)
  const by = record.via === 'reroute' ? { mark: record.mark, table: record.table } : { target: record.target }
  return { name, state, families, from, to, via, ...by, persistent, abandoned, pid: owner.pid, created, steps: steps.map(describeStep) }
}

export function infoOfDamaged({ name, problem }: DamagedJournal): MirrorInfo {
  return { name, state: 'damaged', problem }
}
