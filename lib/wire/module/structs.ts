// SPDX-License-Identifier: MIT
// The structs of /dev/nfkit (kmod/uapi/nfkit*.h), field by field, but records (record.ts). A test compares every offset and size with
// the header.

import { LIMIT } from './constants.js'
import { layout, type Layout } from './layout.js'

const NAME = { bytes: LIMIT.nameSize } as const
const DEVICE = { bytes: LIMIT.deviceSize } as const

export const INFO = layout('nfkit_info', {
  size: 4, targets: 4, features: 8, hooks: 4, captures: 4, max_targets: 4, max_outputs: 4, max_hooks: 4, max_captures: 4,
})

export const NETNS = layout('nfkit_netns', { size: 4, fd: 4 })

export const OUTPUT_CONFIG = layout('nfkit_output_config', {
  device: DEVICE, flags: 4, vlan_protocol: 2, vlan_tci: 2, destination: { bytes: 6 }, reserved: { bytes: 2 },
})

export const TARGET_SET = layout('nfkit_target_set', {
  size: 4, flags: 4, name: NAME, mark: 4, sample: 4, snaplen: 4, rate: 4, burst: 4, queue_limit: 4, output_count: 4, output_size: 4, outputs: 8,
})

export const DELETE = layout('nfkit_delete', { size: 4, reserved: 4, name: NAME })

export const STATS = layout('nfkit_stats', {
  seen: 8, cloned: 8, sent: 8, bytes: 8, queued: 8, no_target: 8, sampled_out: 8, limited: 8, no_route: 8, loop: 8, no_device: 8, unroutable: 8,
  local: 8, same_device: 8, too_big: 8, queue_full: 8, no_memory: 8, no_reader: 8, buffer_full: 8, unresolved: 8, device_down: 8, refused: 8,
  flushed: 8, dropped_oldest: 8,
})

export const OUTPUT_STATE = layout('nfkit_output_state', { config: { struct: OUTPUT_CONFIG }, ifindex: 4, reserved: 4, stats: { struct: STATS } })

export const TARGET_GET = layout('nfkit_target_get', {
  size: 4, flags: 4, name: NAME, mark: 4, sample: 4, snaplen: 4, rate: 4, burst: 4, queue_limit: 4, output_count: 4, output_size: 4, outputs: 8,
  rules: 4, hooks: 4, captures: 4, reserved: 4, stats: { struct: STATS },
})

export const LIST = layout('nfkit_list', { size: 4, count: 4, names: 8 })

export const HOOK_SET = layout('nfkit_hook_set', {
  size: 4, flags: 4, name: NAME, point: 1, family: 1, verdict: 1, reserved: 1, priority: 4, in: DEVICE, out: DEVICE, physin: DEVICE, physout: DEVICE,
  mark: 4, mark_mask: 4, queue: 4, repeat: 4, target: NAME, link: 4, instruction_count: 4, instructions: 8,
})

export const HOOK_STATS = layout('nfkit_hook_stats', {
  seen: 8, bytes: 8, matched: 8, no_header: 8, undecided: 8, accepted: 8, dropped: 8, redirected: 8, not_taken: 8, queued: 8, repeated: 8,
  unfinished: 8, unroutable: 8, no_memory: 8,
})

export const HOOK_GET = layout('nfkit_hook_get', { hook: { struct: HOOK_SET }, stats: { struct: HOOK_STATS } })

export const CAPTURE = layout('nfkit_capture', { size: 4, flags: 4, target: NAME, snaplen: 4, buffer: 4 })

export const CAPTURE_STATS = layout('nfkit_capture_stats', { size: 4, reserved: 4, captured: 8, lost: 8, used: 4, buffer: 4 })

export const EVENTS = layout('nfkit_events', { size: 4, reserved: 4 })

/** All of them. */
export const STRUCTS: readonly Layout[] = [
  INFO, NETNS, OUTPUT_CONFIG, TARGET_SET, DELETE, STATS, OUTPUT_STATE, TARGET_GET, LIST, HOOK_SET, HOOK_STATS, HOOK_GET, CAPTURE, CAPTURE_STATS, EVENTS,
]
