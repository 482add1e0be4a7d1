// SPDX-License-Identifier: MIT
// A program that takes packets of a queue and is killed: `node queue-consumer.js NETNS QUEUE ACCEPT`. It says "ready" when it has the queue,
// accepts so many packets, says "holding" and keeps all that come later without a verdict.

import { PacketQueue } from '../../lib/index.js'

const [netns, queue, accept] = process.argv.slice(2)
const packets = PacketQueue.open(Number(queue), { netns: netns! })
process.stdout.write('ready\n')
let count = 0
for await (const packet of packets) {
  if (count++ < Number(accept)) packet.accept()
  if (count === Number(accept) + 1) process.stdout.write('holding\n')
}
