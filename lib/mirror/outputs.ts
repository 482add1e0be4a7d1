// SPDX-License-Identifier: MIT
// Where copies go and how many: what a mirror via `devices` tells its clone target.

import { invalidArgument } from '../errors.js'
import type { CloneTargetConfig } from '../clone/clone-config.js'
import type { CloneOutput } from '../wire/module/target.js'

/** Which packets are copied of those selected, and how much of each: as clone targets have it (`CloneTargetConfig`). */
export type MirrorLimits = Pick<CloneTargetConfig, 'snaplen' | 'sample' | 'random' | 'rate' | 'burst' | 'queueLimit' | 'dropOldest' | 'defer'>

export const LIMIT_KEYS = ['snaplen', 'sample', 'random', 'rate', 'burst', 'queueLimit', 'dropOldest', 'defer'] as const

/** Ports that copies leave by: a name, or a name with a VLAN tag to add and another destination MAC address; or up to 8 of these. */
export type MirrorPorts = string | CloneOutput | readonly (string | CloneOutput)[]

/** As a list of ports, not looked into further. */
export function listPorts(to: unknown): readonly (string | CloneOutput)[] {
  const ports: readonly unknown[] = Array.isArray(to) ? to : [to]
  for (const port of ports) {
    if (typeof port !== 'string' && (typeof port !== 'object' || port === null)) throw invalidArgument('to', 'the name of the mirror port, or { device, vlan, destination }', port)
  }
  return ports as readonly (string | CloneOutput)[]
}

/** The limits that are given. */
export function pickLimits(options: MirrorLimits): MirrorLimits {
  return Object.fromEntries(LIMIT_KEYS.flatMap((key) => (options[key] === undefined ? [] : [[key, options[key]]])))
}

export const nameOfPort = (port: string | CloneOutput): string => (typeof port === 'string' ? port : port.device)
