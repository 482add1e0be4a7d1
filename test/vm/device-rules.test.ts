// SPDX-License-Identifier: MIT
// Rules that name devices or a clone target: frames at the monitors, with the MAC header that the packet came with.

import t from 'tap'
import { Link } from '../../lib/index.js'
import type { Host } from '../../lib/lab/index.js'
import { datagram } from '../support/datagram.js'
import { type MirrorLab, mirrorLab, noModule, until, withModule } from '../support/module.js'
import { ipJson, run, tryRun } from '../support/outside.js'

withModule(t)

const N = 50
const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!
const hex = (frame: Uint8Array) => Buffer.from(frame).toString('hex')

/** Counters of /proc/net/nfkit that are not zero. */
function counters(host: Host, target: string): Record<string, number> {
  const [names = [], ...lines] = host.netns.readProc('nfkit').trim().split('\n').map((line) => line.split(' '))
  const line = lines.find(([name]) => name === target) ?? []
  return Object.fromEntries(names.map((name, i) => [name, Number(line[i] ?? 0)] as const).slice(1).filter(([, value]) => value !== 0))
}

/** UDP frames that come to a monitor, until `count` are there. */
function watch(at: Host, device = 'eth0'): { frames: string[]; stop: () => Promise<void> } {
  const capture = at.capture(device, { promiscuous: true, direction: 'in', filter: ({ data }) => data[12] === 8 && data[23] === 17 })
  const frames: string[] = []
  const reading = (async () => { for await (const item of capture) if (item.type === 'frame') frames.push(hex(item.data)) })()
  return { frames, stop: async () => { await capture.return!(); await reading } }
}

function frames({ h1, box }: MirrorLab, destination: string): Uint8Array[] {
  return Array.from({ length: N }, (_, i) => datagram({ to: macOf(box), from: macOf(h1), source: '192.168.1.1', destination, fill: i, size: 20 + 3 * i }))
}

for (const [chain, destination] of [['INPUT', '192.168.1.254'], ['FORWARD', '192.168.2.2']] as const) {
  t.test(`${chain} --dev: the very frames that came in, by two devices`, { skip: noModule }, async (t) => {
    const net = await mirrorLab(t)
    const { lab, h1, h2, box, monitor } = net
    const second = lab.host('second', { ipv6: false })
    lab.wire({ host: box }, { host: second })
    run(box.netns, 'iptables-legacy', '-A', chain, '-p', 'udp', '-j', 'CLONE', '--dev', 'eth2,eth3')
    const copies = [watch(monitor), watch(second)]
    const originals = watch(chain === 'FORWARD' ? h2 : box)
    const sent = frames(net, destination)
    for (const frame of sent) h1.sendFrame('eth0', frame)
    await until(() => [...copies, originals].every(({ frames }) => frames.length >= N))
    for (const { stop } of [...copies, originals]) await stop()
    t.equal(originals.frames.length, N)
    // At FORWARD the TTL is one less already, but the MAC header is still the one that came in.
    const expected = chain === 'INPUT' ? sent.map(hex) : originals.frames.map((frame) => hex(sent[0]!.subarray(0, 14)) + frame.slice(28))
    for (const one of copies) t.same(one.frames, expected)
    const bytes = sent.reduce((sum, frame) => sum + frame.length, 0)
    t.match(counters(box, 'dev:eth2,eth3'), { seen: N, cloned: 2 * N, sent: 2 * N, bytes: 2 * bytes })
    t.match(run(box.netns, 'iptables-legacy-save', '-t', 'filter'), `-A ${chain} -p udp -j CLONE --dev eth2,eth3\n`)
  })
}

t.test('a device that goes and comes back; one that is not there; the packet\'s own', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { h1, box } = net
  const send = (n: number) => { for (const frame of frames(net, '192.168.1.254').slice(0, n)) h1.sendFrame('eth0', frame) }
  run(box.netns, 'iptables-legacy', '-A', 'INPUT', '-p', 'udp', '-j', 'CLONE', '--dev', 'eth2,never,eth0')
  send(5)
  await until(() => counters(box, 'dev:eth2,never,eth0')['device_down'] === 5)
  t.same(counters(box, 'dev:eth2,never,eth0'), { seen: 5, cloned: 10, sent: 5, same_device: 5, device_down: 5, bytes: counters(box, 'dev:eth2,never,eth0')['bytes'] })
  run(box.netns, 'ip', 'link', 'del', 'eth2')
  send(5)
  await until(() => counters(box, 'dev:eth2,never,eth0')['device_down'] === 15)
  run(box.netns, 'sh', '-ec', 'ip link add other type veth peer name p; ip link set p up; ip link set other name eth2; ip link set eth2 up')
  await until(() => ipJson(box.netns, 'link', 'show', 'eth2')[0].operstate === 'UP')
  send(5)
  await until(() => counters(box, 'dev:eth2,never,eth0')['sent'] === 10)
  t.equal(counters(box, 'dev:eth2,never,eth0')['device_down'], 20)
})

t.test('what is refused, and a target that nobody has defined', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { h1, box } = net
  t.match(tryRun(box.netns, 'iptables-legacy', '-A', 'OUTPUT', '-j', 'CLONE', '--dev', 'eth2').stderr, /Invalid argument/)
  for (const [args, said] of [
    [['--dev', 'a,,b'], /names of devices/], [['--dev', 'a,a'], /twice/], [['--dev', 'a,b,c,d,e,f,g,h,i'], /up to 8/], [['--target', 'a b'], /--target takes/],
    [['--target', 'x', '--mark', '1'], /--mark|--target/], [[], /one of --mark, --target, --dev/],
  ] as const) {
    const { status, stderr } = tryRun(box.netns, 'iptables-legacy', '-A', 'INPUT', '-j', 'CLONE', ...args)
    t.equal(status, 2)
    t.match(stderr, said)
  }
  run(box.netns, 'iptables-legacy', '-A', 'INPUT', '-p', 'udp', '-j', 'CLONE', '--target', 'later')
  for (const frame of frames(net, '192.168.1.254')) h1.sendFrame('eth0', frame)
  await until(() => counters(box, 'target:later')['seen'] === N)
  t.same(counters(box, 'target:later'), { seen: N, no_target: N })
  run(box.netns, 'iptables-nft', '-A', 'INPUT', '-p', 'udp', '-j', 'CLONE', '--target', 'later')
  t.match(run(box.netns, 'iptables-nft-save'), '-A INPUT -p udp -j CLONE --target later\n')
  t.match(run(box.netns, 'iptables-legacy', '-nL', 'INPUT'), /CLONE target later\n/)
})
