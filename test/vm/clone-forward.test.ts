// SPDX-License-Identifier: MIT
// Copies of forwarded packets: as many as there were packets, the same bytes, and the originals as without.

import t from 'tap'
import type { Host } from '../../lib/lab/index.js'
import { arrivals, clone, counters, mirrorLab, noModule, sorted, until, withModule } from '../support/module.js'

withModule(t)

const PORT = 9000

/** Sends datagrams, each with its number in it. */
async function send(from: Host, address: string, sizes: readonly number[]): Promise<void> {
  const sender = await from.connect({ protocol: 'udp', address, port: PORT })
  for (const [i, size] of sizes.entries()) {
    const data = new Uint8Array(size).fill(i & 0xff)
    new DataView(data.buffer).setUint32(0, i)
    await sender.send(data)
  }
  sender.close()
}

for (const [family, address] of [['ipv4', '192.168.2.2'], ['ipv6', 'fd02::2']] as const) {
  t.test(`${family}: each forwarded datagram is sent twice, once to the monitor`, { skip: noModule }, async (t) => {
    const { h1, h2, box, monitor } = await mirrorLab(t)
    const receiver = h2.listen({ protocol: 'udp', port: PORT, address: family === 'ipv4' ? '0.0.0.0' : '::', serve: 'discard' })
    clone(box, family, 'FORWARD', '-p udp --dport 9000')
    const sizes = Array.from({ length: 300 }, (_, i) => 4 + (i * 37) % 1400)
    let originals: string[] = []
    const copies = await arrivals(box, 'eth2', monitor, async () => {
      originals = await arrivals(box, 'eth1', h2, () => send(h1, address, sizes), () => sizes.length)
    }, () => sizes.length)
    t.equal(originals.length, sizes.length)
    t.same(sorted(copies), sorted(originals), 'the same bytes behind the MAC header')
    t.same(counters(box), { seen: sizes.length, cloned: sizes.length, sent: sizes.length })
    receiver.close()
  })
}

t.test('without the rule nothing is counted, and the file says so', { skip: noModule }, async (t) => {
  const { box } = await mirrorLab(t)
  t.equal(box.netns.readProc('nfkit').split('\n').length, 1)
  clone(box, 'ipv4', 'FORWARD', '-p udp')
  t.same(counters(box), {})
  await until(() => /^mark:0xc10e( 0)+$/m.test(box.netns.readProc('nfkit')))
})
