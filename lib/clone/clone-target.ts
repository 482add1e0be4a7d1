// SPDX-License-Identifier: MIT
// Clone targets: where the copies go that rules make with `-j CLONE --target NAME`.

import { inspect } from 'node:util'
import { invalidArgument, outOfRange } from '../errors.js'
import { checkBoolean, checkKeys } from '../net/check.js'
import type { NetnsLike } from '../netns.js'
import { checkInteger } from '../wire/check.js'
import { parseMac } from '../wire/mac.js'
import { isOutputName, isTargetName, MAX_OUTPUTS, TARGET_NAME } from '../wire/module/names.js'
import type { CloneConfig, CloneOutput, CloneTargetState } from '../wire/module/target.js'
import { CloneDevice } from './device.js'

/** What is done with the packets. At least one of `devices` and `reroute`. */
export interface CloneTargetConfig {
  /** Up to 8 devices that each send a copy, with the MAC header that the packet came with. */
  devices?: readonly (string | CloneOutput)[] | undefined
  /** A mark, 0 to 0xffffffff: policy routing sends a copy by it, as with `-j CLONE --mark`. */
  reroute?: number | undefined
  /** Copy one packet in so many, 1 to 0xffffffff; all unless told. */
  sample?: number | undefined
  /** Choose each packet by chance, instead of the first of every `sample`, which is then 2 or more. */
  random?: boolean | undefined
}

export interface CloneTargetOptions extends CloneTargetConfig {
  /** What rules call it: 1 to 31 characters of A-Z a-z 0-9 _ - and dot. */
  name: string
  /** Keep it when this handle is closed or the process ends, until {@link CloneTarget.delete}. */
  persistent?: boolean | undefined
  /** Network namespace; that of this process unless told. */
  netns?: NetnsLike | undefined
}

const CONFIG_KEYS = ['devices', 'reroute', 'sample', 'random'] as const

/**
 * A clone target of the kernel module: where the copies go that rules make with `-j CLONE --target NAME`. Rules may name it
 * before it is there and after it is gone: then nothing is copied, and counted as `noTarget`.
 *
 * It belongs to this handle and goes with it, also when the process is killed, unless it is persistent. Needs CAP_NET_ADMIN in
 * the network namespace, the module loaded, and access to /dev/nfkit, which is root's.
 */
export class CloneTarget {
  readonly name: string
  readonly #device: CloneDevice
  readonly #persistent: boolean
  #closed = false

  private constructor(name: string, device: CloneDevice, persistent: boolean) {
    this.name = name
    this.#device = device
    this.#persistent = persistent
  }

  /**
   * Defines a target. A persistent one that is there already is defined anew and keeps its counters.
   * @throws NfkitError NFKIT_MODULE_MISSING when the module is not loaded, EEXIST when there is one of that name, EPERM when another
   * program has it or without CAP_NET_ADMIN, ENOSPC when the namespace has 1024.
   */
  static create(options: CloneTargetOptions): CloneTarget {
    checkKeys(options, ['name', 'persistent', 'netns', ...CONFIG_KEYS], 'options')
    const { name, persistent = false, netns, ...rest } = options
    checkName(name)
    checkBoolean(persistent, 'persistent')
    const config = configOf(rest)
    const device = CloneDevice.open(netns)
    try {
      device.setTarget(name, config, { persistent, create: !persistent })
    } catch (error) {
      device.close()
      throw error
    }
    return new CloneTarget(name, device, persistent)
  }

  /** The names of the targets that programs have defined in a namespace, sorted. */
  static list(netns?: NetnsLike): string[] {
    return using(netns, (device) => device.targetNames())
  }

  /** A target of any program, and its counters. @throws NfkitError ENOENT when none is defined. */
  static get(name: string, netns?: NetnsLike): CloneTargetState {
    checkName(name)
    return using(netns, (device) => device.target(name))
  }

  /** Deletes a persistent target. @throws NfkitError ENOENT when none is defined, EPERM when a running program has it. */
  static delete(name: string, netns?: NetnsLike): void {
    checkName(name)
    using(netns, (device) => device.deleteTarget(name))
  }

  /**
   * Defines it anew while packets pass: what is not given is as if it had never been given. Copies that wait for the old definition
   * are dropped and counted as `flushed`; counters go on, those of a device as long as it is named.
   */
  set(config: CloneTargetConfig): void {
    checkKeys(config, CONFIG_KEYS, 'config')
    this.#device.setTarget(this.name, configOf(config), { persistent: this.#persistent, create: false })
  }

  /** What it is and what it did. @throws NfkitError ENETDOWN when its namespace is gone. */
  stats(): CloneTargetState {
    return this.#device.target(this.name)
  }

  /** Closes the handle. The target goes unless it is persistent. */
  close(): void {
    this.#closed = true
    this.#device.close()
  }

  [Symbol.dispose](): void { this.close() }

  async [Symbol.asyncDispose](): Promise<void> { this.close() }

  [inspect.custom](): string {
    return `CloneTarget { name: '${this.name}'${this.#persistent ? ', persistent' : ''}${this.#closed ? ', closed' : ''} }`
  }
}

function using<T>(netns: NetnsLike | undefined, work: (device: CloneDevice) => T): T {
  const device = CloneDevice.open(netns)
  try {
    return work(device)
  } finally {
    device.close()
  }
}

function checkName(name: unknown): asserts name is string {
  if (!isTargetName(name)) throw (typeof name === 'string' ? outOfRange : invalidArgument)('name', TARGET_NAME, name)
}

function configOf({ devices = [], reroute, sample = 1, random = false }: CloneTargetConfig): CloneConfig {
  if (!Array.isArray(devices)) throw invalidArgument('devices', 'an array of names or of objects', devices)
  if (devices.length > MAX_OUTPUTS) throw outOfRange('devices', `at most ${MAX_OUTPUTS}`, devices.length)
  const outputs = devices.map((one: string | CloneOutput, i) => outputOf(one, `devices[${i}]`))
  const names = new Set(outputs.map(({ device }) => device))
  if (names.size < outputs.length) throw invalidArgument('devices', 'different devices', [...names].join(', '))
  if (reroute !== undefined) checkInteger(reroute, 0, 0xffffffff, 'reroute')
  if (outputs.length === 0 && reroute === undefined) throw invalidArgument('config', 'devices, reroute or both', undefined)
  checkInteger(sample, 1, 0xffffffff, 'sample')
  checkBoolean(random, 'random')
  if (random && sample < 2) throw outOfRange('sample', '2 or more with random', sample)
  return { devices: outputs, reroute, sample, random }
}

function outputOf(given: string | CloneOutput, name: string): CloneOutput {
  if (typeof given !== 'string') checkKeys(given, ['device', 'vlan', 'destination'], name)
  const output = typeof given === 'string' ? { device: given } : given
  const { device, vlan, destination } = output
  if (!isOutputName(device)) throw invalidArgument(`${name}.device`, 'a name of 1 to 15 bytes without space, slash, colon and comma', device)
  if (vlan !== undefined) {
    checkKeys(vlan, ['id', 'priority', 'protocol'], `${name}.vlan`)
    checkInteger(vlan.id, 0, 4094, `${name}.vlan.id`)
    if (vlan.priority !== undefined) checkInteger(vlan.priority, 0, 7, `${name}.vlan.priority`)
    if (vlan.protocol !== undefined && vlan.protocol !== '802.1Q' && vlan.protocol !== '802.1ad') throw invalidArgument(`${name}.vlan.protocol`, '802.1Q or 802.1ad', vlan.protocol)
  }
  if (destination !== undefined && parseMac(destination, `${name}.destination`).every((byte) => byte === 0)) {
    throw outOfRange(`${name}.destination`, 'an address that is not all zeros', destination)
  }
  return output
}
