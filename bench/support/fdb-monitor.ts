// SPDX-License-Identifier: MIT
// `bridge monitor fdb` read through a pipe, which is how a program without nfkit would follow the table.

import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { type BenchBridge, macOf } from './bridge.js'
import { now } from './now.js'

const PROBE = macOf(0xe00000)

export class FdbMonitor {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** Starts it and waits until it reports; `heard` gets each line and when it was read. */
  static async open(table: BenchBridge, heard: (line: string, at: number) => void): Promise<FdbMonitor> {
    const child = spawn('bridge', ['monitor', 'fdb'], { stdio: ['ignore', 'pipe', 'ignore'] })
    let problem: Error | undefined
    child.on('error', (error) => { problem = error })
    let ready = false
    let rest = ''
    child.stdout!.setEncoding('latin1').on('data', (text: string) => {
      const at = now()
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      for (const line of lines) {
        if (line.includes(PROBE)) ready = true
        else heard(line, at)
      }
    })
    const { cam } = table.bridge
    for (let i = 0; !ready; i++) {
      if (problem !== undefined) throw problem
      if (i === 100) throw new Error('bridge monitor fdb reports nothing')
      cam.add({ mac: PROBE, port: 'p0' })
      cam.delete({ mac: PROBE, port: 'p0' })
      await sleep(20)
    }
    return new FdbMonitor(child)
  }

  close(): void { this.#child.kill('SIGKILL') }
  [Symbol.dispose](): void { this.close() }
}
