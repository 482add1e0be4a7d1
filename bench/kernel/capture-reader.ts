// SPDX-License-Identifier: MIT
// Captures what comes in by eth0 until it is told to stop: node dist/bench/kernel/capture-reader.js file FILE | objects COUNT
//
// It says `ready`, and at the end what became of it. With `objects` also when it had COUNT packets.

import { createWriteStream } from 'node:fs'
import { Capture } from '../../lib/clone/capture.js'

const [mode, argument = ''] = process.argv.slice(2)
const capture = Capture.open({ from: { at: 'ingress', in: 'eth0' }, buffer: 64 << 20 })
process.once('SIGINT', () => { capture.stop() })
process.stdout.write('ready\n')

let bytes = 0
if (mode === 'file') await capture.pipe(createWriteStream(argument))
else {
  let packets = 0
  for await (const batch of capture) {
    for (const { data, timestamp } of batch) if (timestamp > 0n) bytes += data.length
    const before = packets
    packets += batch.length
    const most = Number(argument)
    if (before < most && packets >= most) process.stdout.write(`${JSON.stringify({ at: String(process.hrtime.bigint()) })}\n`)
  }
}
process.stdout.write(`${JSON.stringify({ ...capture.stats(), bytes })}\n`)
