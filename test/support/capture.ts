// SPDX-License-Identifier: MIT
// Captures of the kernel module, for tests.

import type { Capture, CaptureBatch, CapturedPacket } from '../../lib/index.js'
import { Netfilter, type Netns } from '../../lib/index.js'
import type { Host } from '../../lib/lab/index.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { until } from './module.js'

export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** Appends a rule that hands packets to a clone target. */
export function cloneRule(netns: Netns, family: IpFamily, table: string, chain: string, target: string, matches = '-p udp'): void {
  const nf = Netfilter.open({ family, netns })
  try {
    nf.updateSync(table, (draft) => { draft.chain(chain).append(`${matches} -j CLONE --target ${target}`.trim()) })
  } finally {
    nf.close()
  }
}

/** Takes batches as they come. */
export class Collector {
  readonly packets: CapturedPacket[] = []
  readonly batches: CaptureBatch[] = []
  lost = 0
  readonly #ended: Promise<void>
  failure: unknown

  constructor(capture: Capture) {
    this.#ended = (async () => {
      try {
        for await (const batch of capture) {
          this.batches.push(batch)
          this.lost += batch.lost
          this.packets.push(...batch)
        }
      } catch (error) {
        this.failure = error
      }
    })()
  }

  /** Waits for so many packets. */
  async count(count: number): Promise<CapturedPacket[]> {
    await until(() => this.packets.length >= count || this.failure !== undefined, `${count} packets did not come`)
    if (this.failure !== undefined) throw this.failure
    return this.packets
  }

  /** Waits for the end of the capture; throws what it threw. */
  async end(): Promise<void> {
    await this.#ended
    if (this.failure !== undefined) throw this.failure
  }
}

/** Frames that come in, with the tag that the receiver's device took off put back. */
export function watch(at: Host, wanted: (data: Uint8Array) => boolean): { frames: Uint8Array[]; stop: () => Promise<void> } {
  const capture = at.capture('eth0', { promiscuous: true, direction: 'in', maxQueue: 16 << 20 })
  const frames: Uint8Array[] = []
  const reading = (async () => {
    for await (const item of capture) {
      if (item.type !== 'frame') throw new Error(`the capture lost ${item.lost} frames`)
      if (wanted(item.data)) frames.push(item.data.slice())
    }
  })()
  return { frames, stop: async () => { await capture.return!(); await reading } }
}
