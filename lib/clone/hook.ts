// SPDX-License-Identifier: MIT
// Hooks of one's own: which packets, at which hook point, and what becomes of them.

import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { NfkitError } from '../errors.js'
import { checkBoolean, checkKeys } from '../net/check.js'
import type { NetnsLike } from '../netns.js'
import type { HookConfig, HookState, HookStats } from '../wire/module/hook.js'
import { HOOK_POINTS } from '../wire/module/hook-points.js'
import { checkObjectName } from './check.js'
import { ModuleDevice, type SetFlags, withDevice } from './device.js'
import { HOOK_SPEC_KEYS, hookConfigOf, type HookSpec } from './hook-config.js'

/** What {@link Hook.create} takes. */
export interface HookOptions extends HookSpec {
  /** 1 to 31 characters of A-Z a-z 0-9 _ - and dot; one is made up unless told. A persistent hook needs one. */
  name?: string | undefined
  /** Keep it when this handle is closed or the process ends, until {@link Hook.delete}. */
  persistent?: boolean | undefined
  /** Network namespace; that of this process unless told. */
  netns?: NetnsLike | undefined
}

/**
 * A hook of the kernel module at a hook point of netfilter, with its counters.
 *
 *     using hook = Hook.create({ at: 'local-in', match: { length: 100 }, verdict: 'drop' })
 *     hook.stats().dropped
 *
 * It belongs to this handle and goes when that is closed or the process ends, also when it is killed, unless it is persistent. A handle that is
 * not closed stays open, also when nothing refers to it. Needs CAP_NET_ADMIN in the network namespace, the module loaded (Linux 5.10 and
 * later), and access to /dev/nfkit, which is root's. Network namespaces do not share hooks.
 */
export class Hook {
  /** As it was given, or made up. */
  readonly name: string
  readonly #device: ModuleDevice
  readonly #persistent: boolean

  private constructor(name: string, device: ModuleDevice, persistent: boolean) {
    this.name = name
    this.#device = device
    this.#persistent = persistent
  }

  /**
   * Makes a hook. A persistent one that is there already is made anew and keeps its counters.
   * @throws TypeError, RangeError for wrong options, and for what does not go together at the hook point. NfkitError NFKIT_MODULE_NOT_LOADED
   * when the module is not loaded, EOPNOTSUPP when the kernel does not have the hook point, EEXIST when there is a hook of that name, EPERM when
   * another program has it or without CAP_NET_ADMIN, ENOSPC when the namespace has 256 or the kernel's 1024 at the point, EINVAL when the clone
   * target reroutes copies and packets have no route at the point.
   */
  static create(options: HookOptions): Hook {
    checkKeys(options, ['name', 'persistent', 'netns', ...HOOK_SPEC_KEYS], 'options')
    const { name, persistent = false, netns, ...spec } = options
    checkBoolean(persistent, 'persistent')
    if (name !== undefined || persistent) checkObjectName(name, 'name')
    const config = hookConfigOf(spec)
    const device = ModuleDevice.open(netns)
    try {
      const made = make(device, name, config, { persistent, create: !persistent })
      if (!persistent) device.hold()
      return new Hook(made, device, persistent)
    } catch (error) {
      device.close()
      throw error
    }
  }

  /** The names of the hooks that programs have made in a namespace, sorted. @throws NfkitError NFKIT_MODULE_NOT_LOADED, EPERM */
  static list(netns?: NetnsLike): string[] {
    return withDevice(netns, (device) => device.hookNames())
  }

  /** A hook of any program, and its counters. @throws NfkitError ENOENT when there is none. */
  static get(name: string, netns?: NetnsLike): HookState {
    checkObjectName(name, 'name')
    return withDevice(netns, (device) => device.hook(name))
  }

  /** Deletes a persistent hook. @throws NfkitError ENOENT when there is none, EPERM when a running program has it. */
  static delete(name: string, netns?: NetnsLike): void {
    checkObjectName(name, 'name')
    withDevice(netns, (device) => { device.deleteHook(name) })
  }

  /**
   * Makes it anew while packets pass: what is not given is as if it had never been given. Every packet meets the old one or the new one, or,
   * for a moment where point, family, priority or device change, both. Counters go on.
   */
  set(spec: HookSpec): void {
    checkKeys(spec, HOOK_SPEC_KEYS, 'spec')
    set(this.#device, this.name, hookConfigOf(spec), { persistent: this.#persistent, create: false })
  }

  /** What it did: its counters, without asking what it is. @throws NfkitError ENETDOWN when its namespace is gone, ENOENT when another program deleted it. */
  stats(): HookStats {
    return this.#device.hookStats(this.name)
  }

  /** What it is, with its program, and what it did. @throws NfkitError as {@link stats} */
  state(): HookState {
    return this.#device.hook(this.name)
  }

  /** Closes the handle. The hook goes unless it is persistent. Idempotent. */
  close(): void {
    this.#device.close()
  }

  [Symbol.dispose](): void { this.close() }

  async [Symbol.asyncDispose](): Promise<void> { this.close() }

  [inspect.custom](): string {
    return `Hook { name: '${this.name}'${this.#persistent ? ', persistent' : ''}${this.#device.descriptor.fd < 0 ? ', closed' : ''} }`
  }
}

/** Answers the hook's name. */
function make(device: ModuleDevice, name: string | undefined, config: HookConfig, flags: SetFlags): string {
  for (;;) {
    const called = name ?? `hook-${randomBytes(6).toString('hex')}`
    try {
      set(device, called, config, flags)
      return called
    } catch (error) {
      if (name !== undefined || !(error instanceof NfkitError && error.code === 'EEXIST')) throw error
    }
  }
}

function set(device: ModuleDevice, name: string, config: HookConfig, flags: SetFlags): void {
  try {
    device.setHook(name, config, flags)
  } catch (error) {
    const hint = error instanceof NfkitError ? hintOf(error, config) : undefined
    if (hint === undefined) throw error
    const { errno, syscall } = error as Required<NfkitError>
    throw NfkitError.fromErrno(errno, syscall, `making the hook ${name}`, { hint })
  }
}

function hintOf({ code }: NfkitError, { at, clone, verdict }: HookConfig): string | undefined {
  if (code === 'EOPNOTSUPP') return `this kernel has no hook point ${at}, see KernelModule.info()`
  const target = typeof verdict === 'object' && 'redirect' in verdict ? verdict.redirect : clone
  if (code !== 'EINVAL' || target === null || HOOK_POINTS[at].reroute) return undefined
  return `the clone target ${target} reroutes copies, and packets have no route at ${at}`
}
