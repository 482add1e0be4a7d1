// SPDX-License-Identifier: MIT
// A program that is killed: `node target-owner.js`. Clone targets, hooks, captures and events are in use then, and one target is persistent. It
// says "ready" when all of them are there.

import { Capture, CloneTarget, Hook } from '../../lib/index.js'

const sinks = { devices: ['eth2', 'm0'], capture: true }
const match = { protocol: 'icmp' } as const
const owned = [
  CloneTarget.create({ name: 'probe', ...sinks }),
  ...Array.from({ length: 99 }, (_, i) => CloneTarget.create({ name: `t${i}`, ...sinks, defer: true })),
  Hook.create({ at: 'ingress', in: 'eth0', match, verdict: 'accept', clone: 'probe' }),
  Hook.create({ at: 'postrouting', match, verdict: 'accept', clone: 't0' }),
  Hook.create({ at: 'forward', verdict: { repeat: 1 }, mark: { value: 1, mask: 1 }, match }),
  CloneTarget.watch(),
]
CloneTarget.create({ name: 'stays', devices: ['eth2'], persistent: true }).close()
// One is read, the other has its buffer full soon.
const captures = [Capture.open({ from: { at: 'forward', match } }), Capture.open({ from: 'probe', buffer: 65_536 })]
void (async () => { for await (const _ of captures[0]!); })()
process.stdout.write('ready\n')
setInterval(() => owned.length, 1000)
