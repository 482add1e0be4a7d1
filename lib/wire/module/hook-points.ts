// SPDX-License-Identifier: MIT
// Which hook points there are, and what goes together at each: the matrix of kmod/uapi/nfkit_hook.h, against which a test holds it.

import type { LinkType } from '../packet-match/field.js'

/**
 * Where a hook is: the five hook points of IPv4 and IPv6, those of the bridge, and where a device's packets come in before everything
 * else and go out after everything else (netdev).
 */
export type HookPoint =
  | 'prerouting' | 'local-in' | 'forward' | 'local-out' | 'postrouting'
  | 'bridge-prerouting' | 'bridge-local-in' | 'bridge-forward' | 'bridge-local-out' | 'bridge-postrouting'
  | 'ingress' | 'egress'

/** Whether something is not possible at a point, may be given, or must be. */
type Presence = 'never' | 'may' | 'must'

/** What goes together at a point. */
export interface PointRules {
  /** NFKIT_POINT_*. */
  readonly number: number
  /** Names of devices: where packets came in and will go out, and the ports of a bridge that br_netfilter remembers of these. */
  readonly in: Presence
  readonly out: Presence
  readonly physIn: Presence
  readonly physOut: Presence
  /** What a program can begin with. */
  readonly links: readonly LinkType[]
  /** What can be done: give packets to a queue, set their mark, name a clone target with the sink `reroute`. */
  readonly queue: boolean
  readonly mark: boolean
  readonly reroute: boolean
  /** Whether there is one for each of IPv4 and IPv6. */
  readonly families: boolean
}

const BOTH: readonly LinkType[] = ['RAW', 'EN10MB']
const ip = { physIn: 'never', physOut: 'never', queue: true, mark: true, reroute: true, families: true } as const
const bridge = { physIn: 'never', physOut: 'never', links: BOTH, queue: true, mark: true, reroute: false, families: false } as const
const netdev = { ...bridge, queue: false } as const

export const HOOK_POINTS: Readonly<Record<HookPoint, PointRules>> = {
  prerouting: { ...ip, number: 0, in: 'may', out: 'never', physIn: 'may', links: BOTH, reroute: false },
  'local-in': { ...ip, number: 1, in: 'may', out: 'never', physIn: 'may', links: BOTH },
  forward: { ...ip, number: 2, in: 'may', out: 'may', physIn: 'may', physOut: 'may', links: BOTH },
  'local-out': { ...ip, number: 3, in: 'never', out: 'may', links: ['RAW'] },
  postrouting: { ...ip, number: 4, in: 'never', out: 'may', physOut: 'may', links: ['RAW'] },
  'bridge-prerouting': { ...bridge, number: 5, in: 'may', out: 'never' },
  'bridge-local-in': { ...bridge, number: 6, in: 'may', out: 'never' },
  'bridge-forward': { ...bridge, number: 7, in: 'may', out: 'may' },
  'bridge-local-out': { ...bridge, number: 8, in: 'never', out: 'may' },
  'bridge-postrouting': { ...bridge, number: 9, in: 'never', out: 'may' },
  ingress: { ...netdev, number: 10, in: 'must', out: 'never' },
  egress: { ...netdev, number: 11, in: 'never', out: 'must' },
}

export const isHookPoint = (value: unknown): value is HookPoint => typeof value === 'string' && Object.hasOwn(HOOK_POINTS, value)

const byNumber: (HookPoint | undefined)[] = []
for (const point of Object.keys(HOOK_POINTS) as HookPoint[]) byNumber[HOOK_POINTS[point].number] = point

/** The name of a point by its number in the module; undefined for one that is not known here. */
export const hookPointOf = (number: number): HookPoint | undefined => byNumber[number]
