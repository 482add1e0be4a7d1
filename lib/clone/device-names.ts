// SPDX-License-Identifier: MIT
// Names of devices by their index, asked for when somebody wants to know. The namespace is not kept meanwhile.

import { inspect } from 'node:util'
import { addon } from '../native.js'
import { type NetnsLike, resolveNetns } from '../netns.js'
import { interfaceName } from '../queue/netfilter-socket.js'

const AF_UNIX = 1
const SOCK_DGRAM = 2

/** A name can change: it is asked for again after so many milliseconds. */
const FRESH_MS = 1000

/** A network device that a packet came by or leaves by. */
export class CaptureDevice {
  /** In the network namespace of the capture. */
  readonly index: number
  readonly #names: DeviceNames

  constructor(index: number, names: DeviceNames) {
    this.index = index
    this.#names = names
  }

  /** As it is now, asked for with the first look; null when the device is gone. */
  get name(): string | null { return this.#names.of(this.index) }

  /** As JSON has it. */
  toJSON(): { index: number; name: string | null } { return { index: this.index, name: this.name } }
  [inspect.custom](): { index: number; name: string | null } { return this.toJSON() }
}

/** The names of a namespace. */
export class DeviceNames {
  readonly #netns: NetnsLike | undefined
  readonly #names = new Map<number, string | null>()
  #asked = 0

  constructor(netns: NetnsLike | undefined) {
    this.#netns = netns
  }

  readonly of = (index: number): string | null => {
    const now = performance.now()
    if (now - this.#asked > FRESH_MS) {
      this.#names.clear()
      this.#asked = now
    }
    let name = this.#names.get(index)
    if (name === undefined) {
      name = this.#ask(index)
      this.#names.set(index, name)
    }
    return name
  }

  #ask(index: number): string | null {
    try {
      const { fd, release } = resolveNetns(this.#netns)
      try {
        const socket = addon.socket(AF_UNIX, SOCK_DGRAM, 0, fd)
        if (typeof socket === 'number') return null
        try {
          return interfaceName(socket, index)
        } finally {
          socket.close()
        }
      } finally {
        release()
      }
    } catch {
      return null  // the namespace is gone, or nobody here knows where it is any more
    }
  }
}
