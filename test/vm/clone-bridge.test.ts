// SPDX-License-Identifier: MIT
// Copies of bridged packets: with br_netfilter they meet iptables although the box has no address in their network.

import t from 'tap'
import { Link } from '../../lib/index.js'
import { Lab } from '../../lib/lab/index.js'
import { datagram } from '../support/datagram.js'
import { arrivals, clone, counters, noModule, routeMirror, sorted, withModule } from '../support/module.js'
import { tryRun } from '../support/outside.js'

withModule(t)

const N = 40

for (const [family, source, destination] of [['ipv4', '10.0.0.1', '10.0.0.2'], ['ipv6', 'fd0a::1', 'fd0a::2']] as const) {
  t.test(`${family}: what a bridge forwards`, { skip: noModule }, async (t) => {
    const lab = await Lab.create()
    t.teardown(() => lab.close())
    const [h1, h2] = [lab.host('h1'), lab.host('h2')]
    const box = lab.box('box')
    const monitor = lab.host('monitor', { ipv6: false })
    const addresses = (n: number) => [`10.0.0.${n}/24`, `fd0a::${n}/64`]
    lab.wire({ host: box }, { host: h1, addresses: addresses(1) })
    lab.wire({ host: box }, { host: h2, addresses: addresses(2) })
    lab.wire({ host: box }, { host: monitor })
    if (tryRun(box.netns, 'test', '-e', '/proc/sys/net/bridge/bridge-nf-call-iptables').status !== 0) return t.comment('br_netfilter is not here')
    const bridge = box.bridge('br0')
    for (const port of ['eth0', 'eth1']) bridge.addPort(port, { addresses: 'drop' })
    bridge.netfilter.setNamespace({ callIptables: true, callIp6tables: true })
    routeMirror(box)
    for (const address of ['0.0.0.0', '::']) h2.listen({ protocol: 'udp', port: 9000, address, serve: 'discard' })
    clone(box, family, 'FORWARD', '-p udp')
    const to = Link.get('eth0', { netns: h2.netns }).mac!
    let originals: string[] = []
    const copies = await arrivals(box, 'eth2', monitor, async () => {
      originals = await arrivals(box, 'eth1', h2, async () => {
        for (let i = 0; i < N; i++) h1.sendFrame('eth0', datagram({ to, from: Link.get('eth0', { netns: h1.netns }).mac!, source, destination, fill: i, size: 30 + 5 * i }))
      }, () => N)
    }, () => N)
    t.equal(originals.length, N)
    t.same(sorted(copies), sorted(originals))
    t.same(counters(box), { seen: N, cloned: N, sent: N })
  })
}
