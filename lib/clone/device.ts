// SPDX-License-Identifier: MIT
// The module's character device: one descriptor, bound to the network namespace in which it was opened.

import { constants } from 'node:fs'
import { Errno } from '../errno.js'
import { NfkitError } from '../errors.js'
import { addon, type RawDescriptor } from '../native.js'
import { type NetnsLike, resolveNetns } from '../netns.js'
import { COMMAND } from '../wire/module/constants.js'
import {
  type CaptureCounters, decodeCaptureStats, decodeInfo, decodeList, encodeCapture, encodeCaptureStats, encodeDelete, encodeEvents, encodeInfo, encodeList, listCountOf,
  type ModuleInfo,
} from '../wire/module/device.js'
import { decodeHookGet, decodeHookStats, encodeHookGet, encodeHookSet, type HookConfig, type HookState, type HookStats, instructionCountOf } from '../wire/module/hook.js'
import { HOOK_SET, LIST, TARGET_GET, TARGET_SET } from '../wire/module/structs.js'
import { type CloneConfig, type CloneTargetState, decodeTargetGet, encodeTargetGet, encodeTargetSet } from '../wire/module/target.js'
import { loadedModule } from './running-kernel.js'

/** Where udev or devtmpfs puts it. */
export const DEVICE = '/dev/nfkit'

const MODULE = 'nfkit'

/** How an object is set. */
export interface SetFlags {
  /** It stays when its descriptor is closed. */
  persistent: boolean
  /** EEXIST if it is there already. */
  create: boolean
}

/** The address of an array, in a struct of a command. */
type Pointer = readonly [holder: Uint8Array, offset: number, target: Uint8Array]

const HINTS: Readonly<Record<string, string>> = {
  ENOENT: 'there is none of that name in the network namespace; "nfkit targets list" and "nfkit hook list" have those that there are',
  EPERM: 'it belongs to another program, or CAP_NET_ADMIN in the network namespace is missing',
  ENETDOWN: 'its network namespace is gone',
  ENOTTY: 'the kernel module is older than this version of nfkit: build it anew with "nfkit module build"',
}

/** Those that are open until somebody closes them: see {@link ModuleDevice.hold}. */
const held = new Set<ModuleDevice>()

/**
 * An open descriptor. What it makes goes with it, also when the process is killed, unless it is persistent. A command that fails changes
 * nothing.
 */
export class ModuleDevice {
  /** For reading records. */
  readonly descriptor: RawDescriptor
  /** How many instructions a hook's program had at most so far. */
  #instructions = 64

  private constructor(descriptor: RawDescriptor) {
    this.descriptor = descriptor
  }

  /**
   * Opens the device for a namespace, that of this process unless told.
   * @throws NfkitError NFKIT_MODULE_NOT_LOADED, NFKIT_DEVICE_MISSING when it is but /dev has no such file, EPERM without CAP_NET_ADMIN in the namespace, EACCES where
   * the device's owner and mode forbid it (it is root's).
   */
  static open(netns?: NetnsLike): ModuleDevice {
    const { fd, release } = resolveNetns(netns)
    try {
      const opened = addon.open(DEVICE, constants.O_RDWR | constants.O_NONBLOCK, 0, fd)
      if (typeof opened !== 'number') return new ModuleDevice(opened)
      // A /dev without devtmpfs can have the file while the module is not there.
      if (opened === -Errno.ENOENT || opened === -Errno.ENODEV) throw missing(-opened)
      throw NfkitError.fromErrno(-opened, 'open', DEVICE, opened === -Errno.EACCES ? { hint: 'the device is root\'s: run as root, or give it to a group by a rule of udev' } : {})
    } finally {
      release()
    }
  }

  info(): ModuleInfo {
    const info = encodeInfo()
    this.command(COMMAND.info, info, 'asking for what the module has')
    return decodeInfo(info)
  }

  setTarget(name: string, config: CloneConfig, flags: SetFlags): void {
    const { set, outputs } = encodeTargetSet(name, config, flags)
    this.command(COMMAND.targetSet, set, `defining the clone target ${name}`, pointer(set, TARGET_SET.fields.outputs.offset, outputs))
  }

  deleteTarget(name: string): void {
    this.command(COMMAND.targetDelete, encodeDelete(name), `deleting the clone target ${name}`)
  }

  target(name: string): CloneTargetState {
    const { get, outputs } = encodeTargetGet(name)
    this.command(COMMAND.targetGet, get, `reading the clone target ${name}`, pointer(get, TARGET_GET.fields.outputs.offset, outputs))
    return decodeTargetGet(get, outputs)
  }

  /** Sorted. */
  targetNames(): string[] {
    return this.#names(COMMAND.targetList, 'listing clone targets')
  }

  setHook(name: string, config: HookConfig, flags: SetFlags): void {
    const { set, instructions } = encodeHookSet(name, config, flags)
    this.command(COMMAND.hookSet, set, `making the hook ${name}`, pointer(set, HOOK_SET.fields.instructions.offset, instructions))
  }

  deleteHook(name: string): void {
    this.command(COMMAND.hookDelete, encodeDelete(name), `deleting the hook ${name}`)
  }

  hook(name: string): HookState {
    for (;;) {
      const { get, instructions } = encodeHookGet(name, this.#instructions)
      this.command(COMMAND.hookGet, get, `reading the hook ${name}`, pointer(get, HOOK_SET.fields.instructions.offset, instructions))
      const count = instructionCountOf(get)
      if (count <= this.#instructions) return decodeHookGet(get, instructions)
      this.#instructions = count
    }
  }

  /** Its counters alone: the program is not copied. */
  hookStats(name: string): HookStats {
    const { get } = encodeHookGet(name, 0)
    this.command(COMMAND.hookGet, get, `reading the counters of the hook ${name}`)
    return decodeHookStats(get)
  }

  /** Sorted. */
  hookNames(): string[] {
    return this.#names(COMMAND.hookList, 'listing hooks')
  }

  startCapture(target: string, snaplen: number, buffer: number): void {
    this.command(COMMAND.capture, encodeCapture(target, snaplen, buffer), `capturing the clone target ${target}`)
  }

  captureCounters(): CaptureCounters {
    const stats = encodeCaptureStats()
    this.command(COMMAND.captureStats, stats, 'reading the counters of the capture')
    return decodeCaptureStats(stats)
  }

  startEvents(): void {
    this.command(COMMAND.events, encodeEvents(), 'asking for events')
  }

  /** @throws NfkitError NFKIT_CLOSED, or with the kernel's errno; `what` says what was attempted */
  command(request: number, argument: Uint8Array, what: string, pointers: readonly (Uint8Array | number)[] = []): void {
    if (this.descriptor.fd < 0) throw new NfkitError('NFKIT_CLOSED', `${what}: the handle is closed`)
    const result = this.descriptor.ioctl(request, argument, pointers)
    if (result >= 0) return
    const error = NfkitError.fromErrno(-result, 'ioctl', what)
    const hint = HINTS[error.code]
    throw hint === undefined ? error : NfkitError.fromErrno(-result, 'ioctl', what, { hint })
  }

  /** Keeps what it made though nobody refers to it any more, which would let the garbage collector close it. */
  hold(): void {
    held.add(this)
  }

  close(): void {
    held.delete(this)
    this.descriptor.close()
  }

  #names(request: number, what: string): string[] {
    for (let room = 32; ;) {
      const { list, names } = encodeList(room)
      this.command(request, list, what, pointer(list, LIST.fields.names.offset, names))
      const count = listCountOf(list)
      if (count <= room) return decodeList(list, names).sort()
      room = count
    }
  }
}

function missing(errno: number): NfkitError {
  const details = { errno, syscall: 'open' }
  if (loadedModule(MODULE) === undefined) {
    return new NfkitError('NFKIT_MODULE_NOT_LOADED', `${DEVICE} is not there: the kernel module is not loaded`, {
      ...details, hint: 'load it with KernelModule.load() or "nfkit module load"; "nfkit module status" tells what is in the way',
    })
  }
  return new NfkitError('NFKIT_DEVICE_MISSING', `${DEVICE} is not there, though the kernel module is loaded`, {
    ...details, hint: 'let this container have it, or make it with mknod, as a character device with major number 10 and the minor number in /proc/misc',
  })
}

/** An array without elements has no address. */
function pointer(...[holder, offset, target]: Pointer): readonly (Uint8Array | number)[] {
  return target.length === 0 ? [] : [holder, offset, target]
}

/** Opens the device, does something, and closes it. */
export function withDevice<T>(netns: NetnsLike | undefined, work: (device: ModuleDevice) => T): T {
  const device = ModuleDevice.open(netns)
  try {
    return work(device)
  } finally {
    device.close()
  }
}
