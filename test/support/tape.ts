// SPDX-License-Identifier: MIT
// All that comes in at a device, to be compared with what should have come.

import { createHash } from 'node:crypto'
import type { Watch } from '../../lib/events.js'
import type { CaptureEvent, Host } from '../../lib/lab/index.js'
import { decodePacket, type Packet } from '../../lib/wire/packet.js'
import { until } from './module.js'

/** IEEE 802: for local experiments. */
const END_TYPE = 0x88b6
const END = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, END_TYPE >> 8, END_TYPE & 0xff, ...new Uint8Array(46))

/** Frames that a host receives, each with the tag that its device took off put back. */
export class Tape {
  readonly frames: Buffer[] = []
  #ends = 0
  readonly #watch: Watch<CaptureEvent>
  readonly #reading: Promise<void>

  constructor(host: Host, device: string, wanted: (packet: Packet) => boolean) {
    const watch = host.capture(device, { promiscuous: true, direction: 'in', maxQueue: 16 << 20 })
    this.#watch = watch
    this.#reading = (async () => {
      for await (const item of watch) {
        if (item.type !== 'frame') throw new Error(`the capture at ${device} of ${host.name} lost ${item.lost} frames`)
        const packet = item.packet ?? decodePacket(item.data)
        if (packet.ethernet.etherType === END_TYPE) this.#ends++
        else if (wanted(packet)) this.frames.push(Buffer.from(item.data))
      }
    })()
    // It is seen where the tape is closed.
    this.#reading.catch(() => {})
  }

  /** Has a device send a last frame, and waits for it. Frames that other CPUs have in work come behind it. */
  async end(from: Host, device: string): Promise<void> {
    const wanted = this.#ends + 1
    from.sendFrame(device, END)
    await until(() => this.#ends >= wanted, `the last frame of ${device} did not come`)
  }

  /** What has come since the last call. */
  take(): Buffer[] { return this.frames.splice(0) }

  async close(): Promise<void> {
    await this.#watch.return!()
    await this.#reading
  }
}

/** Frames by tags, length and digest, so that a difference can be read; sorted, since CPUs may overtake one another. */
export const brief = (frames: readonly Uint8Array[]): string[] => frames.map((frame) =>
  `${Buffer.from(frame.subarray(12, 24)).toString('hex')} ${frame.length} ${createHash('sha256').update(frame).digest('hex').slice(0, 12)}`).sort()

/** A frame with one tag more, outside of those that it has. */
export function withTag(frame: Uint8Array, id: number, { protocol = 0x8100, priority = 0 } = {}): Buffer {
  return Buffer.concat([frame.subarray(0, 12), Uint8Array.of(protocol >> 8, protocol & 0xff, priority << 5 | id >> 8, id & 0xff), frame.subarray(12)])
}
