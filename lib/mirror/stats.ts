// SPDX-License-Identifier: MIT
// What a mirror counted, by port and by reason.

import { readCloneCounters } from '../clone/clone-counters.js'
import { withDevice } from '../clone/device.js'
import { NfkitError } from '../errors.js'
import * as Link from '../net/link.js'
import type { Netns } from '../netns.js'
import type { CloneCounters } from '../wire/module/counters.js'
import type { CloneOutput } from '../wire/module/target.js'
import type { DevicesRecord, MirrorRecord, RerouteRecord } from './record.js'

type In = { readonly netns?: Netns | undefined }

/** What a port of a mirror did: its share of the mirror's counters. */
export interface MirrorOutputStats extends CloneOutput, CloneCounters {
  /** Index of the device; null while there is none of that name. */
  index: number | null
}

/** What a mirror counted. */
export interface MirrorStats extends CloneCounters {
  /** By port. */
  outputs: MirrorOutputStats[]
}

/** @throws NfkitError NFKIT_MIRROR_RULE_GONE */
export function statsOf(record: MirrorRecord, netns: In): MirrorStats {
  return record.via === 'reroute' ? rerouteStats(record, netns) : devicesStats(record, netns)
}

function rerouteStats({ name, mark, from, to }: RerouteRecord, { netns }: In): MirrorStats {
  const stats = readCloneCounters(netns).get(mark)
  if (stats === undefined) throw ruleGone(name, `no rule with its mark is left in ${from.table} ${from.chain}`)
  return { ...stats, outputs: to.map((device) => ({ device, index: indexOf(device, { netns }), ...stats })) }
}

function indexOf(device: string, netns: In): number | null {
  try {
    return Link.get(device, netns).index
  } catch (error) {
    if (error instanceof NfkitError && error.code === 'ENODEV') return null
    throw error
  }
}

function devicesStats({ name, target, from }: DevicesRecord, { netns }: In): MirrorStats {
  const where = 'at' in from ? `no hook of its is left at ${from.at}` : `no rule of its is left in ${from.table} ${from.chain}`
  try {
    const { seen, sampledOut, limited, cloned, sent, bytes, queued, lost, devices, rules, hooks } = withDevice(netns, (device) => device.target(target))
    if (rules + hooks === 0) throw ruleGone(name, where)
    return { seen, sampledOut, limited, cloned, sent, bytes, queued, lost, outputs: devices }
  } catch (error) {
    if (error instanceof NfkitError && error.code === 'ENOENT') throw ruleGone(name, `its clone target ${target} is gone`)
    throw error
  }
}

function ruleGone(name: string, what: string): NfkitError {
  return new NfkitError('NFKIT_MIRROR_RULE_GONE', `mirror ${name}: ${what}`, { hint: 'somebody has deleted it; remove the mirror and make it again' })
}
