// SPDX-License-Identifier: MIT
// Captures at hook points and chains, without a rule; what they write, as tcpdump and the reader of the project see it; nfkit capture.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Capture, type CaptureOptions, CloneTarget, Hook, KernelModule, Link } from '../../lib/index.js'
import { encodeEthernet, EtherType } from '../../lib/lab/index.js'
import type { PcapngBlock } from '../../lib/wire/pcapng-reader.js'
import { readPcapng } from '../../lib/wire/pcapng-reader.js'
import { Collector, hex } from '../support/capture.js'
import { MAIN, nfkit, Running } from '../support/cli.js'
import { datagram } from '../support/datagram.js'
import { type HookLab, hookLab, PORT } from '../support/hooks.js'
import { noModule, until, withModule } from '../support/module.js'
import { run } from '../support/outside.js'

withModule(t)

const macOf = (host: HookLab['box'], device = 'eth0') => Link.get(device, { netns: host.netns }).mac!
const directory = mkdtempSync(join(tmpdir(), 'nfkit-capture-'))
t.teardown(() => rmSync(directory, { recursive: true }))

function open(t: Test, { box }: HookLab, options: Omit<CaptureOptions, 'netns'>): Capture {
  const capture = Capture.open({ ...options, netns: box.netns })
  t.teardown(() => capture.close())
  return capture
}

t.test('INPUT: what is addressed to this box, and nothing is left', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { h1, box } = net
  const { netns } = box
  box.listen({ protocol: 'udp', port: PORT, serve: 'discard' })
  const rules = () => run(netns, 'iptables-legacy-save')
  const before = rules()
  const capture = open(t, net, { from: { chain: 'INPUT', match: { protocol: 'udp', destinationPort: PORT } }, snaplen: 256 })
  t.same(Hook.list(netns).length, 1)
  t.match(Hook.get(Hook.list(netns)[0]!, netns), { at: 'local-in', priority: -1, verdict: 'accept', clone: capture.target, own: false, persistent: false })
  t.equal(rules(), before, 'no rule was made')
  const got = new Collector(capture)
  const to = macOf(box)
  const source = '192.168.1.1'
  const mine = [10, 400].map((size) => datagram({ to, source, destination: '192.168.1.254', size }))
  const others = [
    datagram({ to, source, destination: '192.168.2.2' }), datagram({ to: '02:00:00:00:00:99', source, destination: '192.168.1.254' }), datagram({ to, source, destination: '192.168.1.77' }),
    datagram({ to, source, destination: '192.168.1.254', port: PORT + 5 }),
  ]
  for (const frame of [...others, mine[0]!, ...others, mine[1]!]) h1.sendFrame('eth0', frame)
  const packets = await got.count(2)
  t.same(packets.map(({ data, wireLength }) => [hex(data), wireLength]), mine.map((frame) => [hex(frame.subarray(0, 256)), frame.length]))
  t.ok(packets.every(({ byRule, point }) => !byRule && point === 'local-in'))
  capture.stop()
  await got.end()
  t.equal(got.packets.length, 2)
  t.same([Hook.list(netns), CloneTarget.list(netns)], [[], []])

  for (const [from, priority] of [[{ chain: 'PREROUTING' }, -151], [{ chain: 'OUTPUT', table: 'raw' }, -301], [{ chain: 'FORWARD', table: 'security', family: 'ipv6' }, 49], [{ at: 'forward', priority: 7 }, 7]] as const) {
    const one = open(t, net, { from })
    t.match(Hook.get(Hook.list(netns)[0]!, netns), { priority })
    one.close()
  }
  const wrong: [unknown, RegExp][] = [
    ['a b', /from/], [{}, /at/], [{ chain: 'input' }, /chain/], [{ chain: 'PREROUTING', table: 'filter' }, /table/], [{ chain: 'INPUT', out: 'eth0' }, /out/], [{ at: 'ingress' }, /in/],
    [{ chain: 'INPUT', priority: 5 }, /priority/], [{ at: 'forward', verdict: 'drop' }, /verdict/], [5, /from/],
  ]
  for (const [from, message] of wrong) t.throws(() => Capture.open({ from: from as never, netns }), { message }, JSON.stringify(from))
  for (const options of [{ snaplen: 0 }, { snaplen: 262145 }, { buffer: 65535 }, { buffer: 2 ** 26 + 1 }]) t.throws(() => Capture.open({ from: 'x', netns, ...options }), RangeError)
  t.same([Hook.list(netns), CloneTarget.list(netns)], [[], []], 'nothing is left')
})

/** Whose frames are only those of the test. */
const NOBODY = '02:00:00:00:0f:0f'

/** Frames of layer 2: with and without tags, IPv4, IPv6 and neither. */
function framesOf({ b2 }: HookLab): Uint8Array[] {
  const to = macOf(b2)
  const from = NOBODY
  const payload = datagram({ to, source: '192.168.3.1', destination: '192.168.3.2', size: 60 }).subarray(14)
  const tagged = (...vlans: { protocol?: number; id: number; priority?: number }[]) => encodeEthernet({ destination: to, source: from, etherType: EtherType.ipv4, vlans, payload })
  return [
    datagram({ to, from, source: '192.168.3.1', destination: '192.168.3.2', size: 100, fill: 1 }), datagram({ to, from, source: 'fd03::1', destination: 'fd03::2', size: 100, fill: 2 }),
    tagged({ id: 5, priority: 6 }), tagged({ id: 7 }, { id: 8 }), tagged({ protocol: 0x88a8, id: 9 }, { id: 10 }),
    encodeEthernet({ destination: to, source: from, etherType: 0x88b5, payload: new Uint8Array(50).fill(3) }),
  ]
}

t.test('frames at each point of layer 2, and the files of them', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { b1 } = net
  const sent = framesOf(net)
  const points = [['ingress', { in: 'eth3' }], ['bridge-prerouting', {}], ['bridge-forward', {}], ['bridge-postrouting', {}], ['egress', { out: 'eth4' }]] as const
  const captures = points.map(([at, devices]) => open(t, net, { from: { at, ...devices, priority: -300, match: { sourceMac: NOBODY } } }))
  const got = captures.map((capture) => new Collector(capture))
  const files = points.map(([at, devices]) => {
    const pieces: Uint8Array[] = []
    const capture = open(t, net, { from: { at, ...devices, priority: -301, match: { sourceMac: NOBODY } } })
    return { capture, pieces, done: capture.pipe((bytes) => { pieces.push(bytes) }) }
  })
  for (const frame of sent) b1.sendFrame('eth0', frame)
  for (const [i, [at]] of points.entries()) {
    const packets = await got[i]!.count(sent.length)
    // With the tag put back where it was taken off.
    const whole = packets.map(({ data, vlan }) => {
      if (vlan === null) return hex(data)
      const tag = Buffer.alloc(4)
      tag.writeUInt16BE(vlan.protocol)
      tag.writeUInt16BE(vlan.priority << 13 | vlan.id, 2)
      return hex(data.subarray(0, 12)) + tag.toString('hex') + hex(data.subarray(12))
    })
    t.same(whole, sent.map(hex), at)
    t.ok(packets.every(({ link, point, wireLength, data }) => link === 'EN10MB' && point === at && wireLength === data.length), at)
    if (at === 'ingress') t.same(packets.map(({ vlan }) => vlan?.id ?? null), [null, null, 5, 7, 9, null])
    const { capture, pieces, done } = files[i]!
    await until(() => capture.stats().delivered >= sent.length)
    capture.stop()
    t.match(await done, { captured: sent.length, delivered: sent.length, lost: 0 })
    const bytes = Buffer.concat(pieces)
    const blocks = [...readPcapng(bytes)]
    const written = blocks.filter((block): block is PcapngBlock & { type: 'packet' } => block.type === 'packet')
    t.same(written.map(({ data }) => hex(data)), sent.map(hex), `${at}: the file`)
    const device = at === 'egress' || at === 'bridge-postrouting' ? 'eth4' : 'eth3'
    t.match(blocks.filter(({ type }) => type === 'interface'), [{ name: device, linkType: 'EN10MB' }])
    t.same([...new Set(written.map(({ direction }) => direction))], [device === 'eth4' ? 'out' : 'in'])
    t.match(blocks.at(-1), { type: 'statistics', received: BigInt(sent.length), dropped: 0n, delivered: BigInt(sent.length) })
    const path = join(directory, `${at}.pcapng`)
    writeFileSync(path, bytes)
    const text = run(net.box.netns, 'tcpdump', '-r', path, '-nn', '-e', '-tt', '--time-stamp-precision=nano')
    // Of a type that it does not know, it prints the bytes, too.
    const lines = text.split('\n').filter((line) => /^\d/.test(line))
    t.equal(lines.length, sent.length, `${at}: tcpdump`)
    t.match(lines[2], /vlan 5, p 6/)
    t.equal(lines[0]!.split(' ')[0]!.replace('.', ''), String(written[0]!.time), 'nanoseconds')
  }
})

t.test('nfkit capture', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { h1, box } = net
  const { netns } = box
  box.listen({ protocol: 'udp', port: PORT, serve: 'discard' })
  const frame = datagram({ to: macOf(box), from: macOf(h1), source: '192.168.1.1', destination: '192.168.1.254', size: 100 })
  const whileSending = async <T>(result: Promise<T>): Promise<T> => {
    let ended = false
    void result.finally(() => { ended = true }).catch(() => {})
    await until(() => { if (!ended) h1.sendFrame('eth0', frame); return ended })
    return result
  }
  const from = ['--from', 'INPUT', '--match', JSON.stringify({ protocol: 'udp', destinationPort: PORT })]
  const text = await whileSending(nfkit(netns, ['capture', ...from, '--count', '3']))
  t.equal(text.status, 0)
  const lines = text.stdout.trim().split('\n')
  t.equal(lines.length, 3)
  for (const line of lines) t.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z {2}local-in {2}eth0 {2}192\.168\.1\.1:9001 > 192\.168\.1\.254:9000 {2}udp {2}length 142$/)
  t.match(text.stderr, /^nfkit: \d+ packets captured, 0 lost\n$/)

  const json = await whileSending(nfkit(netns, ['capture', '--json', ...from, '-c', '2', '-s', '60']))
  t.match(json.stdout.trim().split('\n').map((line) => JSON.parse(line)), new Array(2).fill({
    data: hex(frame.subarray(0, 60)), wireLength: frame.length, in: { name: 'eth0' }, out: null, link: 'EN10MB', point: 'local-in', vlan: null, lost: 0, timestamp: /^\d{19}$/,
  }))

  const path = join(directory, 'cli.pcapng')
  const written = await whileSending(nfkit(netns, ['capture', ...from, '-c', '5', '-w', path]))
  t.equal(written.status, 0)
  t.equal(written.stdout, '')
  const packets = [...readPcapng(readFileSync(path))].filter(({ type }) => type === 'packet')
  t.same(packets.map((packet) => hex((packet as { data: Uint8Array }).data)), new Array(5).fill(hex(frame)))

  CloneTarget.create({ name: 'probe', netns, capture: true, persistent: true }).close()
  const hook = Hook.create({ netns, at: 'local-in', verdict: 'accept', clone: 'probe', match: { protocol: 'udp' } })
  t.teardown(() => hook.close())
  const counted = await whileSending(nfkit(netns, ['capture', '--json', '--from', 'target:probe', '-c', '2', '-w', path, '--interval', '0.1']))
  t.equal(counted.status, 0)
  t.match(JSON.parse(counted.stdout.split('\n')[0]!), { name: 'target:probe', lost: 0, buffer: 4 << 20 })
  CloneTarget.delete('probe', netns)

  const early = nfkit(netns, ['capture', '--from', 'target:probe', '-c', '1'])
  await until(() => KernelModule.info(netns).captures > 0)
  CloneTarget.create({ name: 'probe', netns, capture: true, persistent: true }).close()
  t.match(await whileSending(early), { status: 0, stderr: /^nfkit: there is no clone target probe yet\nnfkit: \d+ packets? captured, 0 lost\n$/ })
  CloneTarget.delete('probe', netns)

  const wrong: [string[], RegExp][] = [
    [[], /--from is missing/], [['--from', 'probe', '--in', 'eth0'], /--in/], [['--from', 'probe', '--table', 'raw'], /--table needs a chain/], [['--from', 'INPUT', '--priority', '5'], /--priority/],
    [['--from', 'INPUT', '--table', 'nat'], /--table/], [['--from', 'INPUT', '-4', '-6'], /--ipv4 and --ipv6/], [['--from', 'INPUT', '--interval', '1'], /--interval needs --write/], [['--from', 'INPUT', '-c', '0'], /--count/],
  ]
  for (const [args, message] of wrong) {
    const { status, stderr } = await nfkit(netns, ['capture', ...args])
    t.equal(status, 2)
    t.match(stderr, message)
  }
  t.same(Hook.list(netns).length, 1, 'nothing is left')
})

const noTerminal = noModule || (spawnSync('script', ['-qec', 'true', '/dev/null']).status !== 0 && 'there is no script(1) to make a terminal')

t.test('nfkit capture on a terminal, ended by a signal', { skip: noTerminal }, async (t) => {
  const { h1, box } = await hookLab(t)
  const { netns } = box
  const frame = datagram({ to: macOf(box), from: macOf(h1), source: '192.168.1.1', destination: '192.168.1.254', size: 100 })
  const path = join(directory, 'terminal.pcapng')
  // As q does: with all that was captured in the file, and the terminal as it was. Nobody looks in the meantime.
  const inner = `exec "${process.execPath}" "${MAIN}" capture --from INPUT -w ${path} --interval 3600`
  const drawn = new Running(netns, ['-qec', `echo $$ > ${directory}/pid; ${inner}`, '/dev/null'], { command: ['script'], env: { TERM: 'xterm' } })
  t.teardown(() => drawn.stop())
  await drawn.until('first picture', (text) => text.includes('q quits'))
  h1.sendFrame('eth0', frame)
  await until(() => Hook.list(netns).some((name) => Hook.get(name, netns).matched > 0))
  process.kill(Number(readFileSync(join(directory, 'pid'), 'utf8')), 'SIGTERM')
  t.same(await drawn.ended, { status: 0, signal: null })
  t.match(drawn.stdout, /\x1b\[\?1049l[^]*nfkit: [1-9]\d* packets? captured, 0 lost/, 'the terminal first')
  t.match([...readPcapng(readFileSync(path))].at(-1), { type: 'statistics', dropped: 0n })
})
