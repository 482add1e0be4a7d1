// SPDX-License-Identifier: MIT
// A file below /proc/net of some namespace that is read again and again.

import { constants } from 'node:fs'
import { addon, check, checkDescriptor, type RawDescriptor } from '../native.js'
import { type NetnsLike, resolveNetns } from '../netns.js'

const text = new TextDecoder()
const SIZE = 4096

/** It is opened in its namespace once; opening it again through /proc/self/fd needs no thread that enters the namespace. */
export class ProcFile {
  readonly #descriptor: RawDescriptor
  readonly #path: string

  private constructor(descriptor: RawDescriptor, path: string) {
    this.#descriptor = descriptor
    this.#path = path
  }

  /** @param name below /proc/net, for example `netfilter/nfnetlink_queue` @throws NfkitError ENOENT, EACCES */
  static open(name: string, netns: NetnsLike | undefined): ProcFile {
    const { fd, release } = resolveNetns(netns)
    const path = `/proc/thread-self/net/${name}`
    try {
      return new ProcFile(checkDescriptor(addon.open(path, constants.O_RDONLY, 0, fd), 'open', path), path)
    } finally {
      release()
    }
  }

  read(): string {
    const file = checkDescriptor(addon.open(`/proc/self/fd/${this.#descriptor.fd}`, constants.O_RDONLY, 0, -1), 'open', this.#path)
    try {
      let content = ''
      const part = new Uint8Array(SIZE)
      for (;;) {
        const length = check(file.read(part, 0), 'read', this.#path)
        if (length === 0) return content
        content += text.decode(part.subarray(0, length))
      }
    } finally {
      file.close()
    }
  }

  close(): void { this.#descriptor.close() }
}
