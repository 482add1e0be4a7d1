// SPDX-License-Identifier: MIT
// Clone targets as the module's character device takes and tells them.

import { formatMac, type MacAddress, parseMac } from '../mac.js'
import { OUTPUT_CONFIG, OUTPUT_FLAG, OUTPUT_STATE, STATS, Struct, TARGET_FLAG, TARGET_GET, TARGET_SET } from './structs.js'

/** A device that copies leave by, as the frames that came in. */
export interface CloneOutput {
  /** Its name; it need not exist yet, and copies find it again when it comes back. Ethernet only. */
  device: string
  /** A VLAN tag that is added, outside of those that the packet has, as for RSPAN. */
  vlan?: { /** 0 to 4094. */ id: number; /** 0 to 7; 0 unless told. */ priority?: number; /** 802.1Q unless told. */ protocol?: '802.1Q' | '802.1ad' }
  /** Another destination MAC address, so that a host which is not promiscuous receives the copies. */
  destination?: MacAddress
}

/** What is done with the packets of a clone target. */
export interface CloneConfig {
  /** Devices that each send a copy, up to 8. */
  devices: CloneOutput[]
  /** The mark of a copy that policy routing sends; undefined: there is none. */
  reroute: number | undefined
  /** One packet in so many is copied, 1: all. */
  sample: number
  /** By chance, instead of the first of every so many. */
  random: boolean
}

/** What happened to packets: kmod/uapi/nfkit.h, struct nfkit_stats. Each key counts packets or copies, `bytes` those of sent frames. */
export interface CloneCounters {
  seen: number
  cloned: number
  sent: number
  /** Of the frames that devices took, without FCS and hardware VLAN tags. */
  bytes: number
  noTarget: number
  sampledOut: number
  noRoute: number
  loop: number
  unroutable: number
  local: number
  sameDevice: number
  tooBig: number
  queueFull: number
  noMemory: number
  noHeader: number
  unresolved: number
  deviceDown: number
  refused: number
  flushed: number
}

const COUNTERS: Readonly<Record<keyof CloneCounters, keyof typeof STATS.fields>> = {
  seen: 'seen', cloned: 'cloned', sent: 'sent', bytes: 'bytes', noTarget: 'no_target', sampledOut: 'sampled_out', noRoute: 'no_route', loop: 'loop',
  unroutable: 'unroutable', local: 'local', sameDevice: 'same_device', tooBig: 'too_big', queueFull: 'queue_full', noMemory: 'no_memory',
  noHeader: 'no_header', unresolved: 'unresolved', deviceDown: 'device_down', refused: 'refused', flushed: 'flushed',
}

/** A clone target as it is. */
export interface CloneTargetState extends CloneConfig, CloneCounters {
  name: string
  persistent: boolean
  /** How many rules name it. */
  rules: number
  devices: CloneOutputState[]
}

/** A device of a clone target, and its share of the target's counters. */
export interface CloneOutputState extends CloneOutput, CloneCounters {
  /** Index of the device, null while there is none of that name. */
  index: number | null
}

const PROTOCOLS = { '802.1Q': 0x8100, '802.1ad': 0x88a8 } as const
/** PCP, above the drop eligible indicator and the VLAN ID (IEEE 802.1Q, 9.6). */
const PRIORITY_SHIFT = 13

/** The struct and the array that it points to. */
export function encodeTargetSet(name: string, config: CloneConfig, flags: { persistent: boolean; create: boolean }): { set: Uint8Array; outputs: Uint8Array } {
  const { devices, reroute, sample, random } = config
  const outputs = new Uint8Array(devices.length * OUTPUT_CONFIG.size)
  for (const [i, { device, vlan, destination }] of devices.entries()) {
    const output = new Struct(OUTPUT_CONFIG, outputs, i * OUTPUT_CONFIG.size).setText('device', device)
    output.set('flags', (vlan === undefined ? 0 : OUTPUT_FLAG.vlan) | (destination === undefined ? 0 : OUTPUT_FLAG.destination))
    if (vlan !== undefined) output.set('vlan_protocol', PROTOCOLS[vlan.protocol ?? '802.1Q']).set('vlan_tci', (vlan.priority ?? 0) << PRIORITY_SHIFT | vlan.id)
    if (destination !== undefined) output.array('destination').set(parseMac(destination))
  }
  const set = new Struct(TARGET_SET).set('size', TARGET_SET.size).setText('name', name)
  set.set('flags', (flags.persistent ? TARGET_FLAG.persistent : 0) | (flags.create ? TARGET_FLAG.create : 0) |
    (reroute === undefined ? 0 : TARGET_FLAG.reroute) | (random ? TARGET_FLAG.random : 0))
  set.set('mark', reroute ?? 0).set('sample', sample).set('output_count', devices.length).set('output_size', devices.length === 0 ? 0 : OUTPUT_CONFIG.size)
  return { set: set.bytes, outputs }
}

/** Room for the answer to a question about a target. */
export function encodeTargetGet(name: string, room: number): { get: Uint8Array; outputs: Uint8Array } {
  const get = new Struct(TARGET_GET).set('size', TARGET_GET.size).setText('name', name).set('output_count', room).set('output_size', OUTPUT_STATE.size)
  return { get: get.bytes, outputs: new Uint8Array(room * OUTPUT_STATE.size) }
}

/** The answer. */
export function decodeTargetGet(getBytes: Uint8Array, outputs: Uint8Array): CloneTargetState {
  const get = new Struct(TARGET_GET, getBytes)
  const flags = get.get('flags')
  const devices: CloneOutputState[] = []
  for (let at = 0; devices.length < get.get('output_count') && at + OUTPUT_STATE.size <= outputs.length; at += OUTPUT_STATE.size) {
    const state = new Struct(OUTPUT_STATE, outputs, at)
    devices.push({ ...decodeOutput(outputs, state.offset('config')), index: state.get('ifindex') || null, ...decodeStats(outputs, state.offset('stats')) })
  }
  return {
    name: get.text('name'), persistent: (flags & TARGET_FLAG.persistent) !== 0, rules: get.get('rules'),
    reroute: (flags & TARGET_FLAG.reroute) === 0 ? undefined : get.get('mark'), sample: get.get('sample'), random: (flags & TARGET_FLAG.random) !== 0,
    ...decodeStats(getBytes, get.offset('stats')), devices,
  }
}

function decodeOutput(bytes: Uint8Array, at: number): CloneOutput {
  const config = new Struct(OUTPUT_CONFIG, bytes, at)
  const output: CloneOutput = { device: config.text('device') }
  const tci = config.get('vlan_tci')
  if ((config.get('flags') & OUTPUT_FLAG.vlan) !== 0) {
    output.vlan = { id: tci & 0xfff, priority: tci >> PRIORITY_SHIFT, protocol: config.get('vlan_protocol') === PROTOCOLS['802.1ad'] ? '802.1ad' : '802.1Q' }
  }
  if ((config.get('flags') & OUTPUT_FLAG.destination) !== 0) output.destination = formatMac(config.array('destination'))
  return output
}

function decodeStats(bytes: Uint8Array, at: number): CloneCounters {
  const stats = new Struct(STATS, bytes, at)
  return Object.fromEntries(Object.entries(COUNTERS).map(([key, field]) => [key, stats.get(field)])) as unknown as CloneCounters
}
