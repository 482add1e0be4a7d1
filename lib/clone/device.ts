// SPDX-License-Identifier: MIT
// The module's character device: one descriptor, bound to the network namespace in which it was opened.

import { constants } from 'node:fs'
import { Errno } from '../errno.js'
import { NfkitError } from '../errors.js'
import { addon, check, checkDescriptor, type RawDescriptor } from '../native.js'
import { type NetnsLike, resolveNetns } from '../netns.js'
import {
  INFO, NFKIT_INFO, NFKIT_TARGET_DELETE, NFKIT_TARGET_GET, NFKIT_TARGET_LIST, NFKIT_TARGET_SET, Struct, TARGET_DELETE, TARGET_GET, TARGET_LIST, TARGET_SET,
} from '../wire/module/structs.js'
import { MAX_OUTPUTS } from '../wire/module/names.js'
import { type CloneConfig, type CloneTargetState, decodeTargetGet, encodeTargetGet, encodeTargetSet } from '../wire/module/target.js'

/** Where udev or devtmpfs puts it. */
export const DEVICE = '/dev/nfkit'

const NAME_SIZE = 32

/** What the module has. */
export interface CloneDeviceInfo {
  /** NFKIT_FEATURE_* (kmod/uapi/nfkit.h). */
  features: number
  /** Clone targets that programs have defined in the namespace, and how many they may. */
  targets: number
  maxTargets: number
  /** Devices of a clone target, at most. */
  maxDevices: number
}

/** An open descriptor. Targets that it defines go with it, also when the process is killed, unless they are persistent. */
export class CloneDevice {
  readonly #descriptor: RawDescriptor

  private constructor(descriptor: RawDescriptor) {
    this.#descriptor = descriptor
  }

  /**
   * Opens the device for a namespace, that of this process unless told.
   * @throws NfkitError NFKIT_MODULE_MISSING when the module is not loaded, EPERM without CAP_NET_ADMIN in the namespace or where the
   * device's owner and mode forbid it.
   */
  static open(netns?: NetnsLike): CloneDevice {
    const { fd, release } = resolveNetns(netns)
    try {
      const opened = addon.open(DEVICE, constants.O_RDWR, 0, fd)
      if (opened === -Errno.ENOENT || opened === -Errno.ENODEV) {
        throw new NfkitError('NFKIT_MODULE_MISSING', `${DEVICE} is not there`, {
          errno: -(opened as number), syscall: 'open', hint: 'load the kernel module with KernelModule.load() or "nfkit module load"',
        })
      }
      return new CloneDevice(checkDescriptor(opened, 'open', DEVICE))
    } finally {
      release()
    }
  }

  info(): CloneDeviceInfo {
    const info = new Struct(INFO).set('size', INFO.size)
    this.#ioctl(NFKIT_INFO, info.bytes, 'NFKIT_INFO')
    return { features: info.get('features'), targets: info.get('targets'), maxTargets: info.get('max_targets'), maxDevices: info.get('max_outputs') }
  }

  setTarget(name: string, config: CloneConfig, flags: { persistent: boolean; create: boolean }): void {
    const { set, outputs } = encodeTargetSet(name, config, flags)
    this.#ioctl(NFKIT_TARGET_SET, set, `NFKIT_TARGET_SET ${name}`, outputs.length === 0 ? [] : [set, TARGET_SET.fields.outputs.offset, outputs])
  }

  deleteTarget(name: string): void {
    this.#ioctl(NFKIT_TARGET_DELETE, new Struct(TARGET_DELETE).set('size', TARGET_DELETE.size).setText('name', name).bytes, `NFKIT_TARGET_DELETE ${name}`)
  }

  target(name: string): CloneTargetState {
    const { get, outputs } = encodeTargetGet(name, MAX_OUTPUTS)
    this.#ioctl(NFKIT_TARGET_GET, get, `NFKIT_TARGET_GET ${name}`, [get, TARGET_GET.fields.outputs.offset, outputs])
    return decodeTargetGet(get, outputs)
  }

  targetNames(): string[] {
    for (let room = 32; ;) {
      const list = new Struct(TARGET_LIST).set('size', TARGET_LIST.size).set('count', room)
      const names = new Uint8Array(room * NAME_SIZE)
      this.#ioctl(NFKIT_TARGET_LIST, list.bytes, 'NFKIT_TARGET_LIST', [list.bytes, TARGET_LIST.fields.names.offset, names])
      const count = list.get('count')
      if (count <= room) {
        return Array.from({ length: count }, (_, i) => {
          const name = names.subarray(i * NAME_SIZE, (i + 1) * NAME_SIZE)
          return new TextDecoder().decode(name.subarray(0, name.indexOf(0)))
        }).sort()
      }
      room = count
    }
  }

  close(): void {
    this.#descriptor.close()
  }

  #ioctl(request: number, argument: Uint8Array, what: string, pointers: readonly (Uint8Array | number)[] = []): void {
    if (this.#descriptor.fd < 0) throw new NfkitError('NFKIT_CLOSED', 'the clone target is closed')
    check(this.#descriptor.ioctl(request, argument, pointers), 'ioctl', what)
  }
}
