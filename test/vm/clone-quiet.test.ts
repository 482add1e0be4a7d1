// SPDX-License-Identifier: MIT
// Whatever becomes of a copy, the sender of the original never hears of it: no ICMP message, no TCP reset.

import t, { type Test } from 'tap'
import { Link, Route } from '../../lib/index.js'
import { datagram } from '../support/datagram.js'
import { arrivals, clone, counters, MARK, type MirrorLab, mirrorLab, noModule, packetOf, TABLE, until, withModule } from '../support/module.js'
import { run } from '../support/outside.js'

withModule(t)

const N = 20
const FAMILIES = [['ipv4', '192.168.1.1', '192.168.2.2', 'default'], ['ipv6', 'fd01::1', 'fd02::2', '::/0']] as const

/**
 * Forwards N datagrams of a size from h1 to h2, and a TCP connection, and answers what came back to h1 that was not of the connection.
 * Every original must arrive.
 */
async function answersToSender(t: Test, { h1, h2, box }: MirrorLab, source: string, destination: string, size: number): Promise<string[]> {
  const to = Link.get('eth0', { netns: box.netns }).mac!
  const wire = h1.capture('eth0', { direction: 'in', promiscuous: true })
  const heard: string[] = []
  const listening = (async () => {
    for await (const item of wire) {
      if (item.type !== 'frame') throw new Error('frames were lost')
      const { packet } = item
      const isIcmp = packet?.icmp !== undefined || (packet?.icmpv6 !== undefined && packet.icmpv6.type < 128)
      if (isIcmp || packet?.tcp?.flags.includes('rst') === true) heard.push(packetOf(item.data))
    }
  })()
  const sink = h2.listen({ protocol: 'udp', port: 9000, address: source.includes(':') ? '::' : '0.0.0.0', serve: 'discard' })
  const originals = await arrivals(box, 'eth1', h2, async () => {
    for (let i = 0; i < N; i++) h1.sendFrame('eth0', datagram({ to, source, destination, size, fill: i, dontFragment: true }))
  }, () => N)
  t.equal(originals.length, N, 'every original arrives')
  const server = h2.listen({ port: 8080, address: destination, serve: 'echo' })
  const connection = await h1.connect({ address: destination, port: 8080 })
  await connection.write('hello')
  t.equal(Buffer.from(await connection.read() ?? []).toString(), 'hello', 'the connection stands')
  await connection.close()
  server.close()
  sink.close()
  // The neighbour table gives up on an address after three seconds, and tells whoever waits for it.
  if (size === 101) await new Promise((resolve) => setTimeout(resolve, 4000))
  await wire.return!()
  await listening
  return heard
}

for (const [family, source, destination, everywhere] of FAMILIES) {
  const cases: [name: string, size: number, prepare: (net: MirrorLab) => void, check: (counted: Record<string, number>, t: Test) => void][] = [
    ['an MTU that is too small', 1400, ({ box }) => {
      Link.set('eth2', { mtu: 1300 }, { netns: box.netns })
    }, (counted, t) => t.equal(counted['too_big'], N)],
    ['a neighbour that does not answer', 101, ({ box }) => {
      Link.set('eth2', { arp: true }, { netns: box.netns })
      box.addAddress('eth2', family === 'ipv4' ? '192.168.3.1/24' : 'fd03::1/64')
      Route.replace({ destination: everywhere, link: 'eth2', table: TABLE, gateway: family === 'ipv4' ? '192.168.3.77' : 'fd03::77' }, { netns: box.netns })
    }, (counted, t) => t.equal(counted['unresolved'], counted['cloned'])],
    ['REJECT of copies in OUTPUT', 100, ({ box }) => {
      const command = family === 'ipv4' ? 'iptables-legacy' : 'ip6tables-legacy'
      run(box.netns, 'sh', '-ec', `${command} -A OUTPUT -p tcp -m mark --mark ${MARK} -j REJECT --reject-with tcp-reset; ${command} -A OUTPUT -m mark --mark ${MARK} -j REJECT`)
    }, (counted, t) => t.equal(counted['sent'], counted['seen'])],
    ['an unreachable route', 100, ({ box }) => {
      Route.replace({ destination: everywhere, type: 'unreachable', table: TABLE, family }, { netns: box.netns })
    }, (counted, t) => t.equal(counted['unroutable'], counted['seen'])],
    ['a mirror port that is down', 100, ({ box }) => {
      Link.set('eth2', { up: false }, { netns: box.netns })
      Route.replace({ destination: everywhere, type: 'blackhole', table: TABLE, family }, { netns: box.netns })
    }, (counted, t) => t.equal(counted['unroutable'], counted['seen'])],
  ]
  for (const [name, size, prepare, check] of cases) {
    t.test(`${family}: ${name}`, { skip: noModule }, async (t) => {
      const net = await mirrorLab(t)
      prepare(net)
      clone(net.box, family, 'FORWARD')
      t.same(await answersToSender(t, net, source, destination, size), [], 'nothing on the sender\'s wire')
      await until(() => (counters(net.box)['seen'] ?? 0) > N)
      check(counters(net.box), t)
    })
  }
}
