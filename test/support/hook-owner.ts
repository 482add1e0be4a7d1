// SPDX-License-Identifier: MIT
// A program that makes hooks and is killed: `node hook-owner.js`. It drops what the box forwards, and makes a persistent hook, too. It says "ready" then.

import { Hook } from '../../lib/index.js'

const hooks = (['forward', 'local-in', 'local-out'] as const).map((at) => Hook.create({ at, match: { protocol: 'udp', destinationPort: 9000 }, verdict: 'drop' }))
hooks.push(Hook.create({ at: 'ingress', in: 'eth0', match: { protocol: 'udp', destinationPort: 9000 }, verdict: { redirect: 'nowhere', onFail: 'drop' } }))
Hook.create({ at: 'prerouting', verdict: 'accept', name: 'stays', persistent: true }).close()
process.stdout.write('ready\n')
setInterval(() => hooks.forEach((hook) => { hook.stats() }), 1000)
