// SPDX-License-Identifier: MIT
// Packets that rules copy to a group, while they themselves go their way.

import t, { type Test } from 'tap'
import { type LoggedPacket, PacketLog, type PacketLogOptions } from '../../lib/index.js'
import type { Host } from '../../lib/lab/index.js'
import { filter } from '../support/lab.js'
import { ipJson, run } from '../support/outside.js'
import { counted, eventually, FAMILIES, lacksTarget, network, numberIn, receiver, sendNumbered } from '../support/queue.js'

const skip = lacksTarget('NFLOG')
const PACKETS = Number(process.env.NFKIT_QUEUE_PACKETS ?? 5000)

function open(t: Test, host: Host, options: PacketLogOptions = {}, group = 7): PacketLog {
  const log = PacketLog.open(group, { netns: host.netns, ...options })
  t.teardown(() => log.close())
  return log
}

async function take(log: PacketLog, count: number): Promise<LoggedPacket[]> {
  const packets: LoggedPacket[] = []
  while (packets.length < count) {
    const { value } = await log.next()
    if (value?.type !== 'packet') throw new Error(`${JSON.stringify(value)} after ${packets.length} packets`)
    packets.push(value)
  }
  return packets
}

for (const family of FAMILIES) {
  t.test(`${family}: what a logged packet tells`, { skip }, async (t) => {
    const { h1, h2 } = await network(t, '-j NFLOG --nflog-group 7 --nflog-prefix here:')
    filter(h2, family, '-t mangle -I INPUT -p udp -j MARK --set-mark 2')
    const log = open(t, h2, { globalSequence: true })
    const socket = receiver(h2, family)
    await sendNumbered(h1, family, 0, 3)
    const packets = await take(log, 3)
    t.same(packets.map(({ payload }) => numberIn(payload)), [0, 1, 2])
    t.same(packets.map(({ sequence }) => sequence), [0, 1, 2])
    t.match(packets[0], {
      type: 'packet', prefix: 'here:', family, hook: 'INPUT', protocol: family === 'ipv4' ? 0x0800 : 0x86dd, mark: 2, out: null, physicalIn: null,
      in: { index: ipJson(h2.netns, 'link', 'show', 'eth0')[0].ifindex, name: 'eth0' }, physicalOut: null, hardwareType: 1, uid: null, gid: null,
      hardwareAddress: ipJson(h1.netns, 'link', 'show', 'eth0')[0].address, globalSequence: 1, conntrack: null, vlan: null,
      payload: { length: (family === 'ipv4' ? 20 : 40) + 8 + 20 },
    })
    t.equal(packets[0]!.hardwareHeader!.length, 14)
    const age = Date.now() - packets[0]!.timestamp!
    t.ok(age >= -1000 && age < 60_000, `received ${age} ms ago`)
    for (let i = 0; i < 3; i++) t.equal(Buffer.from((await socket.receive()).data).readUInt32BE(), i, 'the packets themselves arrive')
    t.equal(JSON.parse(JSON.stringify(packets[0])).prefix, 'here:')
  })
}

t.test('copy range, threshold and time limit', { skip }, async (t) => {
  const { h1, h2 } = await network(t, '-j NFLOG --nflog-group 7 --nflog-threshold 4')
  receiver(h2, 'ipv4', 'discard')
  const log = open(t, h2, { copyRange: 30, threshold: 10, timeout: 60_000 })
  const next = log.next()
  await sendNumbered(h1, 'ipv4', 0, 3)
  let came = false
  void next.then(() => { came = true })
  await new Promise((resolve) => { setTimeout(resolve, 200) })
  t.notOk(came, 'three are fewer than the four of the rule')
  await sendNumbered(h1, 'ipv4', 3, 1)
  t.match((await next).value, { sequence: 0, payload: { length: 30 } })
  t.same((await take(log, 3)).map(({ sequence }) => sequence), [1, 2, 3], 'all from one datagram')
  log.close()
  const timed = open(t, h2, { copyRange: 0, timeout: 50 })
  await sendNumbered(h1, 'ipv4', 0, 1)
  t.match(await take(timed, 1), [{ payload: { length: 0 }, prefix: '', in: { name: 'eth0' } }])
})

t.test('packets of this machine, with their user', { skip }, async (t) => {
  const { h1, h2 } = await network(t, '-j ACCEPT')
  receiver(h2, 'ipv4', 'discard')
  filter(h1, 'ipv4', '-A OUTPUT -p udp --dport 4000 -j NFLOG --nflog-group 65535')
  const log = open(t, h1, {}, 65535)
  await sendNumbered(h1, 'ipv4', 0, 1)
  t.match(await take(log, 1), [{ hook: 'OUTPUT', in: null, out: { name: 'eth0' }, uid: process.getuid!(), gid: process.getgid!(), hardwareAddress: null, timestamp: null }])
})

t.test('a loss is an item where it happened, and how many', { skip }, async (t) => {
  const { h1, h2 } = await network(t, '-j NFLOG --nflog-group 7')
  receiver(h2, 'ipv4', 'discard')
  // The epoll thread holds up to 2 MiB; what is beyond does not fit into the socket.
  const log = open(t, h2, { receiveBuffer: 65536, bufferSize: 16384 })
  await sendNumbered(h1, 'ipv4', 0, 4000, 1400)
  let next = 0
  let packets = 0
  let lost = 0
  const consumed = (async () => {
    for await (const item of log) {
      if (item.type === 'loss') { lost += item.count; next += item.count; continue }
      if (numberIn(item.payload) !== next) t.equal(numberIn(item.payload), next, 'after a loss comes what comes after it')
      next++
      packets++
      if (next > 4000) break
    }
  })()
  // With room again, more of them tell of those that are missing before.
  let sent = 4000
  for (; !log.closed; sent++) {
    await sendNumbered(h1, 'ipv4', sent, 1)
    await new Promise((resolve) => { setTimeout(resolve, 20) })
  }
  await consumed
  t.ok(lost > 0, `${lost} lost`)
  t.equal(packets + lost, next)
  t.equal(counted(h2, 'ipv4', 'all'), sent, 'the packets themselves are not concerned')
})

t.test(`${PACKETS} packets to a fast consumer`, { skip, timeout: 600_000 }, async (t) => {
  const { h1, h2 } = await network(t, '-j NFLOG --nflog-group 7')
  receiver(h2, 'ipv4', 'discard')
  const log = open(t, h2, { copyRange: 64 })
  let taken = 0
  let lost = 0
  const consumed = (async () => {
    for await (const item of log) {
      if (item.type === 'loss') lost += item.count
      else {
        if (numberIn(item.payload) !== taken + lost) t.fail(`${numberIn(item.payload)} in the place of ${taken + lost}`)
        taken++
      }
      if (taken + lost === PACKETS) break
    }
  })()
  await sendNumbered(h1, 'ipv4', 0, PACKETS)
  await consumed
  t.comment(`${taken} taken, ${lost} lost`)
  t.equal(taken + lost, PACKETS)
  t.ok(log.closed)
})

t.test('a group that is taken, wrong arguments, ends', { skip }, async (t) => {
  const { h1, h2 } = await network(t, '-j NFLOG --nflog-group 7')
  receiver(h2, 'ipv4', 'discard')
  const log = open(t, h2)
  t.throws(() => PacketLog.open(7, { netns: h2.netns }), { code: 'EBUSY', message: /log group 7.*netlink port \d+.*take another number/ })
  const bad = (group: unknown, options: object, name: string, message: RegExp) => {
    t.throws(() => PacketLog.open(group as number, options), { name, message } as unknown as Error)
  }
  bad(-1, {}, 'RangeError', /group/)
  bad(1, { copyRange: 65532 }, 'RangeError', /copyRange/)
  bad(1, { threshold: 0 }, 'RangeError', /threshold/)
  bad(1, { timeout: 15 }, 'TypeError', /timeout.*steps of 10/)
  bad(1, { bufferSize: 131073 }, 'RangeError', /bufferSize/)
  bad(1, { globalSequence: 1 }, 'TypeError', /globalSequence/)
  const waiting = log.next()
  log.close()
  t.same(await waiting, { done: true, value: undefined })
  t.ok(log.closed)
  await eventually('the group is free', () => !run(h2.netns, 'cat', '/proc/net/netfilter/nfnetlink_log').trim().startsWith('7 '))
  const controller = new AbortController()
  const aborted = open(t, h2, { signal: controller.signal })
  const next = aborted.next()
  controller.abort(new Error('enough'))
  await t.rejects(next, { message: 'enough' })
  {
    await using used = open(t, h2)
    await sendNumbered(h1, 'ipv4', 0, 1)
    await take(used, 1)
  }
  t.equal(run(h2.netns, 'cat', '/proc/net/netfilter/nfnetlink_log'), '')
})
