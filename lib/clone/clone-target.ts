// SPDX-License-Identifier: MIT
// Clone targets: where copies go of the packets that rules and hooks hand over.

import { inspect } from 'node:util'
import type { Watch } from '../events.js'
import { checkBoolean, checkKeys } from '../net/check.js'
import type { NetnsLike } from '../netns.js'
import type { CloneTargetState } from '../wire/module/target.js'
import { checkObjectName } from './check.js'
import { CLONE_CONFIG_KEYS, type CloneTargetConfig, cloneConfigOf } from './clone-config.js'
import { type CloneEvent, type CloneEventsOptions, watchCloneTargets } from './clone-events.js'
import { ModuleDevice, withDevice } from './device.js'

/** What {@link CloneTarget.create} takes. */
export interface CloneTargetOptions extends CloneTargetConfig {
  /** What rules and hooks call it: 1 to 31 characters of A-Z a-z 0-9 _ - and dot. */
  name: string
  /** Keep it when this handle is closed or the process ends, until {@link CloneTarget.delete}. */
  persistent?: boolean | undefined
  /** Network namespace; that of this process unless told. */
  netns?: NetnsLike | undefined
}

/**
 * A clone target of the kernel module: where copies go of the packets that rules (`-j CLONE --target NAME`) and hooks hand over. They may
 * name it before it is there and after it is gone: then nothing is copied, and counted as `noTarget`.
 *
 * It belongs to this handle and goes when that is closed or the process ends, also when it is killed, unless it is persistent. A handle that is
 * not closed stays open, also when nothing refers to it. Needs CAP_NET_ADMIN in the network namespace, the module loaded (Linux 5.10 and
 * later), and access to /dev/nfkit, which is root's.
 */
export class CloneTarget {
  /** What rules and hooks call it. */
  readonly name: string
  readonly #device: ModuleDevice
  readonly #persistent: boolean

  private constructor(name: string, device: ModuleDevice, persistent: boolean) {
    this.name = name
    this.#device = device
    this.#persistent = persistent
  }

  /**
   * Defines a target. A persistent one that is there already is defined anew and keeps its counters.
   * @throws TypeError, RangeError for wrong options. NfkitError NFKIT_MODULE_NOT_LOADED when the module is not loaded, EEXIST when there is
   * one of that name, EPERM when another program has it or without CAP_NET_ADMIN, EINVAL for `reroute` while a hook names the target
   * where no packet has a route, ENOSPC when the namespace has 1024.
   */
  static create(options: CloneTargetOptions): CloneTarget {
    checkKeys(options, ['name', 'persistent', 'netns', ...CLONE_CONFIG_KEYS], 'options')
    const { name, persistent = false, netns, ...rest } = options
    checkObjectName(name, 'name')
    checkBoolean(persistent, 'persistent')
    const config = cloneConfigOf(rest)
    const device = ModuleDevice.open(netns)
    try {
      device.setTarget(name, config, { persistent, create: !persistent })
      if (!persistent) device.hold()
    } catch (error) {
      device.close()
      throw error
    }
    return new CloneTarget(name, device, persistent)
  }

  /** The names of the targets that programs have defined in a namespace, sorted. @throws NfkitError NFKIT_MODULE_NOT_LOADED, EPERM */
  static list(netns?: NetnsLike): string[] {
    return withDevice(netns, (device) => device.targetNames())
  }

  /** A target of any program, and its counters. @throws NfkitError ENOENT when none is defined. */
  static get(name: string, netns?: NetnsLike): CloneTargetState {
    checkObjectName(name, 'name')
    return withDevice(netns, (device) => device.target(name))
  }

  /** Deletes a persistent target. @throws NfkitError ENOENT when none is defined, EPERM when a running program has it. */
  static delete(name: string, netns?: NetnsLike): void {
    checkObjectName(name, 'name')
    withDevice(netns, (device) => { device.deleteTarget(name) })
  }

  /**
   * Tells what happens to the clone targets of a namespace from now on: that programs define and delete them, that devices of their outputs
   * go and come back, that nothing is left where copies could go.
   *
   *     for await (const item of CloneTarget.watch()) if (item.type === 'event') console.log(item.event, item.target, item.device?.name)
   *
   * @throws NfkitError NFKIT_MODULE_NOT_LOADED, EPERM without CAP_NET_ADMIN in the namespace, ENOSPC when buffers there have 256 MiB
   */
  static watch(options: CloneEventsOptions = {}): Watch<CloneEvent> {
    return watchCloneTargets(options)
  }

  /**
   * Defines it anew while packets pass: what is not given is as if it had never been given. Copies that wait for the old definition
   * are dropped and counted as `flushed`; counters go on, those of a device as long as it is named.
   */
  set(config: CloneTargetConfig): void {
    checkKeys(config, CLONE_CONFIG_KEYS, 'config')
    this.#device.setTarget(this.name, cloneConfigOf(config), { persistent: this.#persistent, create: false })
  }

  /** What it is and what it did. @throws NfkitError ENETDOWN when its namespace is gone. */
  stats(): CloneTargetState {
    return this.#device.target(this.name)
  }

  /** Closes the handle. The target goes unless it is persistent. Idempotent. */
  close(): void {
    this.#device.close()
  }

  [Symbol.dispose](): void { this.close() }

  async [Symbol.asyncDispose](): Promise<void> { this.close() }

  [inspect.custom](): string {
    return `CloneTarget { name: '${this.name}'${this.#persistent ? ', persistent' : ''}${this.#device.descriptor.fd < 0 ? ', closed' : ''} }`
  }
}
