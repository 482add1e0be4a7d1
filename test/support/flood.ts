// SPDX-License-Identifier: MIT
// Traffic that goes on while a test changes something, and copies of it as a receiver counts them.

import { once } from 'node:events'
import type { Host } from '../../lib/lab/index.js'

export interface Flood {
  /** Ends it. `lost`: requests without an answer, but for the last one, which may be under way. */
  end: () => Promise<{ sent: number; received: number; lost: number }>
}

/** Echo requests every few milliseconds, from h1 to h2, until they are ended. */
export function flood({ h1 }: { h1: Host }, interval = 0.004): Flood {
  const child = h1.spawn('ping', ['-i', String(interval), '-q', '-s', '400', '192.168.2.2'], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (text) => { said += text })
  const closed = once(child, 'close')
  return {
    async end() {
      child.kill('SIGINT')
      await closed
      const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(said)?.map(Number) ?? []
      if (sent === undefined || received === undefined) throw new Error(`ping said: ${said}`)
      return { sent, received, lost: Math.max(0, sent - received - 1) }
    },
  }
}

/** Counts the frames that come in and are wanted. */
export function counted(at: Host, wanted: (frame: Uint8Array) => boolean): { readonly count: number; stop: () => Promise<void> } {
  const capture = at.capture('eth0', { promiscuous: true, direction: 'in', filter: ({ data }) => wanted(data) })
  const counter = { count: 0, stop: async () => { await capture.return!(); await reading } }
  const reading = (async () => { for await (const item of capture) counter.count += item.type === 'frame' ? 1 : item.lost })()
  return counter
}

/** Whether a frame has an IPv4 packet of a protocol, behind a VLAN tag or none. */
export const isIpv4 = (protocol: number) => (frame: Uint8Array) => {
  const at = frame[12] === 0x81 ? 16 : 12
  return frame[at] === 8 && frame[at + 1] === 0 && frame[at + 2 + 9] === protocol
}
