// SPDX-License-Identifier: MIT
// What a clone target does, as a user says it.

import { invalidArgument, outOfRange } from '../errors.js'
import { checkBoolean, checkKeys } from '../net/check.js'
import { checkInteger } from '../wire/check.js'
import { parseMac } from '../wire/mac.js'
import { MAX_OUTPUTS } from '../wire/module/names.js'
import type { CloneConfig, CloneOutput } from '../wire/module/target.js'
import { checkDeviceName } from './check.js'

/** What is done with the packets. At least one of `devices`, `reroute` and `capture`. */
export interface CloneTargetConfig {
  /** Up to 8 devices that each send a copy, with the MAC header that the packet came with. */
  devices?: readonly (string | CloneOutput)[] | undefined
  /** A mark, 0 to 0xffffffff: policy routing sends a copy by it, as with `-j CLONE --mark`. null: none is sent so. */
  reroute?: number | null | undefined
  /** Copies go to those who capture the target. */
  capture?: boolean | undefined
  /**
   * Bytes of a frame that devices send at most, and that captures keep at most, from the header on that they start with: 60 to 65535; 0: all, as unless
   * told. Copies that are rerouted are whole.
   */
  snaplen?: number | undefined
  /** Copy one packet in so many, 1 to 0xffffffff; all unless told. */
  sample?: number | undefined
  /** Choose each packet by chance, instead of the first of every `sample`, which is then 2 or more. */
  random?: boolean | undefined
  /** Packets per second that are copied on average, 1 to 0xffffffff; 0: no limit, as unless told. */
  rate?: number | undefined
  /** Packets that may be copied at once after a pause, 1 to 1000000, or up to the `rate` if that is more; a tenth of a second's unless told. */
  burst?: number | undefined
  /** How many copies may wait on each CPU for this target, within the sysctl net.nfkit.queue_limit; 0: only that counts, as unless told. */
  queueLimit?: number | undefined
  /** When the queue is full, drop the oldest copy of the target rather than the newest. */
  dropOldest?: boolean | undefined
  /** Queue every copy, also where it could be sent at once. */
  defer?: boolean | undefined
}

export const CLONE_CONFIG_KEYS = [
  'devices', 'reroute', 'capture', 'snaplen', 'sample', 'random', 'rate', 'burst', 'queueLimit', 'dropOldest', 'defer',
] as const satisfies readonly (keyof CloneTargetConfig)[]

const MOST = 0xffffffff
const MOST_BURST = 1_000_000
/** A header of Ethernet and the smallest payload (IEEE 802.3, without FCS). */
const LEAST_SNAPLEN = 60
const MOST_SNAPLEN = 65535

/** @throws TypeError, RangeError; `devicesName` is what whoever gave them calls the devices */
export function cloneConfigOf(given: CloneTargetConfig, devicesName = 'devices'): CloneConfig {
  const { devices = [], reroute = null, capture = false, snaplen = 0, sample = 1, random = false, rate = 0, queueLimit = 0, dropOldest = false, defer = false } = given
  const outputs = outputsOf(devices, devicesName)
  if (reroute !== null) checkInteger(reroute, 0, MOST, 'reroute')
  for (const [name, value] of Object.entries({ capture, random, dropOldest, defer })) checkBoolean(value, name)
  if (outputs.length === 0 && reroute === null && !capture) throw invalidArgument('config', 'at least one of devices, reroute and capture', undefined)
  if (snaplen !== 0) checkInteger(snaplen, LEAST_SNAPLEN, MOST_SNAPLEN, 'snaplen', 'bytes, or 0')
  checkInteger(sample, 1, MOST, 'sample')
  if (random && sample < 2) throw outOfRange('sample', '2 or more with random', sample)
  checkInteger(rate, 0, MOST, 'rate', 'packets per second')
  checkInteger(queueLimit, 0, MOST, 'queueLimit', 'copies')
  return { devices: outputs, reroute, capture, snaplen, sample, random, rate, burst: burstOf(given.burst, rate), queueLimit, dropOldest, defer }
}

function burstOf(burst: number | undefined, rate: number): number {
  if (rate === 0) {
    if (burst !== undefined && burst !== 0) throw invalidArgument('burst', 'a rate beside it', burst)
    return 0
  }
  const most = Math.max(MOST_BURST, rate)
  if (burst === undefined) return Math.min(Math.ceil(rate / 10), most)
  checkInteger(burst, 1, most, 'burst', 'packets')
  return burst
}

function outputsOf(devices: unknown, name: string): CloneOutput[] {
  if (!Array.isArray(devices)) throw invalidArgument(name, 'an array of names or of objects', devices)
  if (devices.length > MAX_OUTPUTS) throw outOfRange(name, `at most ${MAX_OUTPUTS}`, devices.length)
  // Unlike map, this sees what an array leaves out.
  const outputs = Array.from(devices, (one: string | CloneOutput, i) => outputOf(one, `${name}[${i}]`))
  const names = new Set(outputs.map(({ device }) => device))
  if (names.size < outputs.length) throw outOfRange(name, 'different devices', outputs.map(({ device }) => device).join(', '))
  return outputs
}

function outputOf(given: string | CloneOutput, name: string): CloneOutput {
  if (typeof given === 'string') {
    checkDeviceName(given, name)
    return { device: given }
  }
  checkKeys(given, ['device', 'vlan', 'destination'], name)
  const { device, vlan, destination } = given
  checkDeviceName(device, `${name}.device`)
  const output: CloneOutput = { device }
  if (vlan !== undefined) {
    checkKeys(vlan, ['id', 'priority', 'protocol'], `${name}.vlan`)
    const { id, priority = 0, protocol = '802.1Q' } = vlan
    checkInteger(id, 0, 4094, `${name}.vlan.id`)
    checkInteger(priority, 0, 7, `${name}.vlan.priority`)
    if (protocol !== '802.1Q' && protocol !== '802.1ad') throw invalidArgument(`${name}.vlan.protocol`, '802.1Q or 802.1ad', protocol)
    output.vlan = { id, priority, protocol }
  }
  if (destination !== undefined) {
    if (parseMac(destination, `${name}.destination`).every((byte) => byte === 0)) throw outOfRange(`${name}.destination`, 'an address that is not all zeros', destination)
    output.destination = destination
  }
  return output
}
