// SPDX-License-Identifier: MIT
// What /dev/nfkit says of itself, lists of names, and deleting: the structs that targets and hooks share.

import { FEATURE, LIMIT } from './constants.js'
import { sized, Struct, textOf } from './layout.js'
import { CAPTURE, CAPTURE_STATS, DELETE, EVENTS, INFO, LIST, NETNS } from './structs.js'

/** Something that the module can do: NFKIT_FEATURE_* (kmod/uapi/nfkit.h). */
export type ModuleFeature =
  /** Clone targets by name, with the sinks `reroute`, `devices`, `capture`, and their sampling, snaplen, rate and queue bound. */
  | 'targets' | 'reroute' | 'devices' | 'capture' | 'limits'
  /** Hooks at the points of IPv4 and IPv6, of the bridge, at `ingress` and at `egress`. */
  | 'hooks' | 'hooksBridge' | 'hooksIngress' | 'hooksEgress'

const BITS: Readonly<Record<ModuleFeature, number>> = FEATURE

/** What the module has in a network namespace. */
export interface ModuleInfo {
  /** What it can do. Where the kernel lacks hook points, so does the module. */
  features: ModuleFeature[]
  /** Clone targets that programs have defined in the namespace. */
  targets: number
  /** Hooks in the namespace. */
  hooks: number
  /** Descriptors that capture in the namespace. */
  captures: number
  /** How many clone targets a network namespace may have. */
  maxTargets: number
  /** How many hooks. */
  maxHooks: number
  /** How many captures. */
  maxCaptures: number
  /** Devices of a clone target, at most. */
  maxDevices: number
}

export const encodeInfo = (): Uint8Array => sized(INFO).bytes

export function decodeInfo(bytes: Uint8Array): ModuleInfo {
  const info = new Struct(INFO, bytes)
  const features = info.get('features')
  return {
    features: (Object.keys(BITS) as ModuleFeature[]).filter((name) => (features & BITS[name]) !== 0),
    targets: info.get('targets'), hooks: info.get('hooks'), captures: info.get('captures'),
    maxTargets: info.get('max_targets'), maxHooks: info.get('max_hooks'), maxCaptures: info.get('max_captures'), maxDevices: info.get('max_outputs'),
  }
}

export const encodeNetns = (fd: number): Uint8Array => sized(NETNS).set('fd', fd).bytes

export const encodeDelete = (name: string): Uint8Array => sized(DELETE).setText('name', name).bytes

/** Room for a list of so many names. */
export function encodeList(room: number): { list: Uint8Array; names: Uint8Array } {
  return { list: sized(LIST).set('count', room).bytes, names: new Uint8Array(room * LIMIT.nameSize) }
}

/** How many names there are, which can be more than there was room for. */
export const listCountOf = (list: Uint8Array): number => new Struct(LIST, list).get('count')

/** The names that there was room for. */
export function decodeList(list: Uint8Array, names: Uint8Array): string[] {
  const count = Math.min(listCountOf(list), names.length / LIMIT.nameSize)
  return Array.from({ length: count }, (_, i) => textOf(names.subarray(i * LIMIT.nameSize, (i + 1) * LIMIT.nameSize)))
}

/** `snaplen` 0: all; `buffer` 0: as the module has it. */
export function encodeCapture(target: string, snaplen: number, buffer: number): Uint8Array {
  return sized(CAPTURE).setText('target', target).set('snaplen', snaplen).set('buffer', buffer).bytes
}

/** What a capture did. */
export interface CaptureCounters {
  /** Packets put into the buffer. */
  captured: number
  /** Packets for which the buffer had no room. */
  lost: number
  /** Bytes of the buffer that hold records now. */
  used: number
  /** Bytes that the buffer has. */
  buffer: number
}

export const encodeCaptureStats = (): Uint8Array => sized(CAPTURE_STATS).bytes

export function decodeCaptureStats(bytes: Uint8Array): CaptureCounters {
  const stats = new Struct(CAPTURE_STATS, bytes)
  return { captured: stats.get('captured'), lost: stats.get('lost'), used: stats.get('used'), buffer: stats.get('buffer') }
}

export const encodeEvents = (): Uint8Array => sized(EVENTS).bytes
