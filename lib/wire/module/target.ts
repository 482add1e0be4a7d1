// SPDX-License-Identifier: MIT
// Clone targets as the module's character device takes and tells them.

import type { VlanProtocol } from '../link-kinds/bridge.js'
import { formatMac, type MacAddress, parseMac } from '../mac.js'
import { LIMIT, OUTPUT_FLAG, OWN, TARGET_FLAG } from './constants.js'
import { type CloneCounters, decodeStats } from './counters.js'
import { sized, Struct } from './layout.js'
import { OUTPUT_CONFIG, OUTPUT_STATE, STATS, TARGET_GET, TARGET_SET } from './structs.js'

/** A VLAN tag. */
export interface CloneVlan {
  /** 0 to 4094. */
  id: number
  /** 0 to 7; 0 unless told. */
  priority?: number
  /** 802.1Q unless told. */
  protocol?: VlanProtocol
}

/** A device that copies leave by, as the frames that came in. */
export interface CloneOutput {
  /** Its name; it need not exist yet, and copies find it again when it comes back. Ethernet only. */
  device: string
  /** A VLAN tag that is added, outside of those that the packet has, as for RSPAN. */
  vlan?: CloneVlan
  /** Another destination MAC address, so that a host which is not promiscuous receives the copies. */
  destination?: MacAddress
}

/** What is done with the packets of a clone target. */
export interface CloneConfig {
  /** Devices that each send a copy, up to 8. */
  devices: CloneOutput[]
  /** The mark by which policy routing sends a copy; null: none is sent so. */
  reroute: number | null
  /** Whether copies go to those who capture the target. */
  capture: boolean
  /** Bytes of a frame that devices send and captures keep at most; 0: all. */
  snaplen: number
  /** One packet in so many is copied, 1: all. */
  sample: number
  /** By chance, instead of the first of every so many. */
  random: boolean
  /** Packets per second that are copied on average; 0: no limit. */
  rate: number
  /** Packets that may be copied at once after a pause; 0 without a rate. */
  burst: number
  /** Copies that may wait on each CPU; 0: only net.nfkit.queue_limit counts. */
  queueLimit: number
  /** When the queue is full the oldest copy goes, not the newest. */
  dropOldest: boolean
  /** Every copy is queued, also where it could be sent at once. */
  defer: boolean
}

/** A device of a clone target, and its share of the target's counters. */
export interface CloneOutputState extends CloneOutput, CloneCounters {
  /** Index of the device, null while there is none of that name. */
  index: number | null
}

/** A clone target as it is, and what it did. */
export interface CloneTargetState extends CloneConfig, CloneCounters {
  /** What rules and hooks call it. */
  name: string
  /** It stays when its handle is closed. */
  persistent: boolean
  /** It belongs to the handle that asks. */
  own: boolean
  /** How many rules name it. */
  rules: number
  /** How many hooks name it. */
  hooks: number
  /** How many captures read it. */
  captures: number
  /** Where copies go as frames, with what each device did. */
  devices: CloneOutputState[]
}

const PROTOCOLS: Readonly<Record<VlanProtocol, number>> = { '802.1Q': 0x8100, '802.1ad': 0x88a8 }
/** PCP, above the drop eligible indicator and the VLAN ID (IEEE 802.1Q, 9.6). */
const PRIORITY_SHIFT = 13
const VLAN_ID = 0xfff

const SWITCHES = { capture: TARGET_FLAG.capture, random: TARGET_FLAG.random, dropOldest: TARGET_FLAG.dropOldest, defer: TARGET_FLAG.defer } as const
const NUMBERS = { sample: 'sample', snaplen: 'snaplen', rate: 'rate', burst: 'burst', queueLimit: 'queue_limit' } as const
type Switch = keyof typeof SWITCHES
type Numeric = keyof typeof NUMBERS

/** The struct and the array that it points to. */
export function encodeTargetSet(name: string, config: CloneConfig, flags: { persistent: boolean; create: boolean }): { set: Uint8Array; outputs: Uint8Array } {
  const { devices, reroute } = config
  const outputs = new Uint8Array(devices.length * OUTPUT_CONFIG.size)
  for (const [i, device] of devices.entries()) encodeOutput(new Struct(OUTPUT_CONFIG, outputs, i * OUTPUT_CONFIG.size), device)
  let bits = (flags.persistent ? TARGET_FLAG.persistent : 0) | (flags.create ? TARGET_FLAG.create : 0) | (reroute === null ? 0 : TARGET_FLAG.reroute)
  for (const [key, bit] of Object.entries(SWITCHES)) if (config[key as Switch]) bits |= bit
  const set = sized(TARGET_SET).setText('name', name).set('flags', bits).set('mark', reroute ?? 0)
  for (const [key, field] of Object.entries(NUMBERS)) set.set(field, config[key as Numeric])
  set.set('output_count', devices.length).set('output_size', devices.length === 0 ? 0 : OUTPUT_CONFIG.size)
  return { set: set.bytes, outputs }
}

function encodeOutput(output: Struct<keyof typeof OUTPUT_CONFIG.fields>, { device, vlan, destination }: CloneOutput): void {
  output.setText('device', device)
  output.set('flags', (vlan === undefined ? 0 : OUTPUT_FLAG.vlan) | (destination === undefined ? 0 : OUTPUT_FLAG.destination))
  if (vlan !== undefined) output.set('vlan_protocol', PROTOCOLS[vlan.protocol ?? '802.1Q']).set('vlan_tci', (vlan.priority ?? 0) << PRIORITY_SHIFT | vlan.id)
  if (destination !== undefined) output.array('destination').set(parseMac(destination))
}

/** Room for the answer to a question about a target. */
export function encodeTargetGet(name: string, room: number = LIMIT.maxOutputs): { get: Uint8Array; outputs: Uint8Array } {
  const get = sized(TARGET_GET).setText('name', name).set('output_count', room).set('output_size', room === 0 ? 0 : OUTPUT_STATE.size)
  return { get: get.bytes, outputs: new Uint8Array(room * OUTPUT_STATE.size) }
}

/** The answer. */
export function decodeTargetGet(getBytes: Uint8Array, outputs: Uint8Array): CloneTargetState {
  const get = new Struct(TARGET_GET, getBytes)
  const flags = get.get('flags')
  const has = (bit: number) => (flags & bit) !== 0
  const devices: CloneOutputState[] = []
  const count = get.get('output_count')
  for (let at = 0; devices.length < count && at + OUTPUT_STATE.size <= outputs.length; at += OUTPUT_STATE.size) {
    const state = new Struct(OUTPUT_STATE, outputs, at)
    devices.push({ ...decodeOutput(state.within('config', OUTPUT_CONFIG)), index: state.get('ifindex') || null, ...decodeStats(state.within('stats', STATS)) })
  }
  return {
    name: get.text('name'), persistent: has(TARGET_FLAG.persistent), own: has(OWN), rules: get.get('rules'), hooks: get.get('hooks'), captures: get.get('captures'),
    devices, reroute: has(TARGET_FLAG.reroute) ? get.get('mark') : null,
    ...Object.fromEntries(Object.entries(SWITCHES).map(([key, bit]) => [key, has(bit)])) as Record<Switch, boolean>,
    ...Object.fromEntries(Object.entries(NUMBERS).map(([key, field]) => [key, get.get(field)])) as Record<Numeric, number>,
    ...decodeStats(get.within('stats', STATS)),
  }
}

function decodeOutput(config: Struct<keyof typeof OUTPUT_CONFIG.fields>): CloneOutput {
  const output: CloneOutput = { device: config.text('device') }
  const tci = config.get('vlan_tci')
  if ((config.get('flags') & OUTPUT_FLAG.vlan) !== 0) {
    output.vlan = { id: tci & VLAN_ID, priority: tci >> PRIORITY_SHIFT, protocol: config.get('vlan_protocol') === PROTOCOLS['802.1ad'] ? '802.1ad' : '802.1Q' }
  }
  if ((config.get('flags') & OUTPUT_FLAG.destination) !== 0) output.destination = formatMac(config.array('destination'))
  return output
}
