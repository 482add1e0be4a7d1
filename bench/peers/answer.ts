// SPDX-License-Identifier: MIT
// The other end of PeerProcess: answers each line of standard input.

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** Calls `act` for each request, one after the other; its result or its error is the answer. */
export async function answer(act: (request: any) => unknown): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    let reply: unknown
    try {
      reply = await act(JSON.parse(line))
    } catch (error) {
      reply = { error: error instanceof Error ? error.message : String(error) }
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`)
  }
  process.exit()
}

/** The most memory that this process ever had resident, in MiB. (getrusage would include what the parent had when it forked.) */
export function peakMemory(): number {
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))![1]) / 1024
}
