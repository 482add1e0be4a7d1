// SPDX-License-Identifier: MIT

import { NfkitError } from '../errors.js'
import * as Link from '../net/link.js'
import type { NetlinkSocket } from '../netlink/socket.js'
import type { NetnsLike } from '../netns.js'
import type { CamEntry } from '../wire/fdb.js'

/** What a Cam needs to know of its bridge. */
export interface CamOwner {
  readonly name: string
  readonly index: number
  readonly netns?: NetnsLike | undefined
}

/** Names for the port indexes that entries carry. Looked up once each: names can change, so it serves one call or one watch. */
export class PortNames {
  readonly #socket: NetlinkSocket
  readonly #names = new Map<number, string>()

  constructor(socket: NetlinkSocket, bridge: CamOwner) {
    this.#socket = socket
    this.#names.set(bridge.index, bridge.name)
  }

  /** The name, or `#index` for a device that is gone. */
  of(index: number): string {
    let name = this.#names.get(index)
    if (name === undefined) {
      try {
        name = Link.getMessage(this.#socket, index).attributes.name ?? `#${index}`
      } catch (error) {
        if (!(error instanceof NfkitError) || error.code !== 'ENODEV') throw error
        name = `#${index}`
      }
      this.#names.set(index, name)
    }
    return name
  }

  /** What a notification said: a new device, or a new name. */
  learn(index: number, name: string): void { this.#names.set(index, name) }

  /** Fills in the names of many entries. */
  fill(entries: readonly CamEntry[]): void {
    let last = -1
    let name = ''
    for (const entry of entries) {
      if (entry.portIndex !== last) {
        last = entry.portIndex
        name = this.of(last)
      }
      entry.port = name
    }
  }
}
