// SPDX-License-Identifier: MIT
// Real packets, each verdict seen from outside: by the receiver, and by the counters of rules that come later.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { PacketQueue, type PacketQueueOptions, type QueuedPacket, type QueueEvent } from '../../lib/index.js'
import type { Host } from '../../lib/lab/index.js'
import { decodeIpv4, encodeIpv4 } from '../../lib/wire/ipv4.js'
import { encodeUdp } from '../../lib/wire/udp.js'
import { filter } from '../support/lab.js'
import { ipJson, run, tryRun } from '../support/outside.js'
import { counted, eventually, FAMILIES, lacksTarget, network, numberIn, receiver, sendNumbered } from '../support/queue.js'

const skip = lacksTarget('NFQUEUE')
/** `NFKIT_QUEUE_PACKETS=100000` is the long form. */
const PACKETS = Number(process.env.NFKIT_QUEUE_PACKETS ?? 5000)
const RULE = '-j NFQUEUE --queue-num 5'

function open(t: Test, host: Host, options: PacketQueueOptions = {}, number = 5): PacketQueue {
  const queue = PacketQueue.open(number, { netns: host.netns, ...options })
  t.teardown(() => queue.close())
  return queue
}

/** The next `count` packets. */
async function take(queue: PacketQueue, count: number): Promise<QueuedPacket[]> {
  const packets: QueuedPacket[] = []
  while (packets.length < count) {
    const { value } = await queue.next()
    if (value === undefined) throw new Error(`ended after ${packets.length} packets`)
    packets.push(value)
  }
  return packets
}

/** The line of the queue as the kernel prints it: waiting, dropped, user dropped, last id. */
function line(host: Host, number = 5): number[] | undefined {
  const rows = run(host.netns, 'cat', '/proc/net/netfilter/nfnetlink_queue').split('\n').map((text) => text.trim().split(/\s+/).map(Number))
  const row = rows.find(([queue, , ...rest]) => queue === number && rest.length > 0)
  return row === undefined ? undefined : [row[2]!, row[5]!, row[6]!, row[7]!]
}

for (const family of FAMILIES) {
  t.test(`${family}: accept, drop, repeat with a mark, another queue; what a packet tells`, { skip }, async (t) => {
    const { h1, h2 } = await network(t, `-m mark ! --mark 2 ${RULE}`)
    const queue = open(t, h2)
    const other = open(t, h2, { copyRange: 0 }, 6)
    const socket = receiver(h2, family)
    await sendNumbered(h1, family, 0, 6)
    const packets = await take(queue, 6)
    t.same(packets.map(({ payload }) => numberIn(payload)), [0, 1, 2, 3, 4, 5])
    const eth0 = ipJson(h2.netns, 'link', 'show', 'eth0')[0].ifindex
    t.match(packets[0], {
      type: 'packet', id: 1, family, hook: 'INPUT', protocol: family === 'ipv4' ? 0x0800 : 0x86dd, mark: 0, verdict: null, truncated: false, lostBefore: 0,
      originalLength: (family === 'ipv4' ? 20 : 40) + 8 + 20, in: { index: eth0, name: 'eth0' }, out: null, physicalIn: null, physicalOut: null,
      hardwareAddress: ipJson(h1.netns, 'link', 'show', 'eth0')[0].address, conntrack: null, uid: null, vlan: null,
    })
    t.same(line(h2), [6, 0, 0, 6])
    t.same(queue.statistics(), { waiting: 6, dropped: 0, userDropped: 0, lastId: 6 })
    packets[0]!.accept()
    packets[1]!.drop()
    packets[2]!.accept({ mark: 1 })
    packets[3]!.repeat({ mark: 2 })
    packets[4]!.setMark(3).accept()
    packets[5]!.toQueue(6, { mark: 1 })
    t.same(packets.map(({ verdict }) => verdict), ['accept', 'drop', 'accept', 'repeat', 'accept', 'queue'])
    t.same(line(h2), [0, 0, 0, 6])
    const received: number[] = []
    for (let i = 0; i < 4; i++) received.push(Buffer.from((await socket.receive()).data).readUInt32BE())
    t.same(received, [0, 2, 3, 4], 'in the order of the verdicts')
    const [moved] = await take(other, 1)
    t.match(moved, { id: 1, mark: 1, payload: { length: 0 }, originalLength: null, truncated: true, in: { name: 'eth0' } }, 'with a copy range of 0')
    t.equal(socket.poll(), undefined, 'it waits in the other queue')
    moved!.accept()
    t.equal(Buffer.from((await socket.receive()).data).readUInt32BE(), 5)
    t.same(['all', 'm1', 'm2', 'm3'].map((name) => counted(h2, family, name)), [5, 2, 1, 1])
    t.match(JSON.parse(JSON.stringify(packets[0])), { id: 1, verdict: 'accept', in: { name: 'eth0' } })
  })

  t.test(`${family}: what the receiver gets is the payload that was given`, { skip }, async (t) => {
    const { h1, h2 } = await network(t, RULE)
    const queue = open(t, h2)
    const socket = receiver(h2, family)
    await sendNumbered(h1, family, 7, 3)
    const [same, longer, bad] = await take(queue, 3)
    const changed = same!.payload.slice()
    changed.set(Buffer.from('new'), changed.length - 20)
    same!.accept({ payload: changed, checksums: true })
    t.equal(Buffer.from((await socket.receive()).data).toString('latin1', 0, 3), 'new')
    // Longer by eight bytes: the lengths are the caller's.
    const header = family === 'ipv4' ? 20 : 40
    const grown = Buffer.concat([longer!.payload, Buffer.from('8 bytes!')])
    const view = new DataView(grown.buffer, grown.byteOffset)
    if (family === 'ipv4') view.setUint16(2, grown.length)
    else view.setUint16(4, grown.length - 40)
    view.setUint16(header + 4, grown.length - header)
    longer!.setPayload(grown).accept({ checksums: true })
    t.equal(longer!.payload.length, grown.length)
    t.equal(Buffer.from((await socket.receive()).data).toString('latin1', 20), '8 bytes!')
    // With a wrong checksum the receiver's own stack drops it: nothing is made good unasked.
    const wrong = bad!.payload.slice()
    wrong[wrong.length - 1] = 0x55
    bad!.accept({ payload: wrong })
    t.equal(counted(h2, family, 'all'), 3)
    t.equal(socket.poll(), undefined)
  })
}

t.test('a packet may be answered once, and not after its queue is closed', { skip }, async (t) => {
  const { h1, h2 } = await network(t, RULE)
  const queue = open(t, h2)
  await sendNumbered(h1, 'ipv4', 0, 3)
  const [first, second, third] = await take(queue, 3)
  first!.accept()
  t.throws(() => first!.drop(), { name: 'NfkitError', code: 'NFKIT_VERDICT_GIVEN', message: /packet 1 of queue 5.*accept/ })
  queue.acceptUpTo(second!)
  t.throws(() => second!.accept(), { code: 'NFKIT_VERDICT_GIVEN' })
  t.throws(() => queue.acceptUpTo(second!), { code: 'NFKIT_VERDICT_GIVEN' })
  const other = open(t, h2, {}, 6)
  t.throws(() => other.acceptUpTo(third!), { name: 'TypeError', message: /packet of this queue/ })
  // Bad arguments say so and change nothing: the packet still waits.
  t.throws(() => third!.accept({ mark: -1 }), { name: 'RangeError', message: /mark/ })
  t.throws(() => third!.setMark('1' as never), { name: 'TypeError' })
  t.throws(() => third!.accept({ payload: new Uint8Array(0) }), { name: 'RangeError', message: /payload.*65531/ })
  t.throws(() => third!.accept({ payload: 'x' as never }), { name: 'TypeError' })
  t.throws(() => third!.toQueue(65536), { name: 'RangeError' })
  t.equal(line(h2)?.[0], 1)
  queue.close()
  queue.close()
  t.throws(() => third!.accept(), { code: 'NFKIT_CLOSED', message: /queue 5 is closed.*dropped/ })
  t.throws(() => queue.statistics(), { code: 'NFKIT_CLOSED' })
  t.same(await queue.next(), { done: true, value: undefined })
  t.equal(third!.in?.name, null, 'names are asked of the closed socket')
  t.equal(line(h2), undefined)
  t.equal(counted(h2, 'ipv4', 'all'), 2)
})

t.test('batches', { skip }, async (t) => {
  const { h1, h2 } = await network(t, RULE)
  const queue = open(t, h2)
  receiver(h2, 'ipv4', 'discard')
  await sendNumbered(h1, 'ipv4', 0, 100)
  const packets = await take(queue, 60)
  packets[10]!.drop()
  queue.acceptUpTo(packets[29]!, { mark: 1 })
  t.same(packets.slice(0, 31).map(({ verdict }) => verdict), [...new Array(10).fill('batch'), 'drop', ...new Array(19).fill('batch'), null])
  t.equal(line(h2)?.[0], 70)
  queue.dropUpTo(packets[39]!)
  queue.acceptUpTo(packets[59]!)
  t.equal(line(h2)?.[0], 40)
  for (const packet of await take(queue, 40)) packet.accept()
  t.same(['all', 'm1'].map((name) => counted(h2, 'ipv4', name)), [29 + 20 + 40, 29])
})

t.test('what is wrong is said before a socket is opened', async (t) => {
  const bad = (number: unknown, options: unknown, expected: { name?: string; message?: RegExp | string }) => {
    t.throws(() => PacketQueue.open(number as number, options as PacketQueueOptions), expected as Error)
  }
  bad(65536, {}, { name: 'RangeError', message: /number.*0 to 65535/ })
  bad('5', {}, { name: 'TypeError' })
  bad(5, { copyRange: 65532 }, { name: 'RangeError', message: /copyRange.*65531/ })
  bad(5, { maxLength: 0 }, { name: 'RangeError', message: /maxLength/ })
  bad(5, { maxLength: 65537 }, { name: 'RangeError', message: /maxLength.*65536/ })
  bad(5, { onClose: 'keep' }, { name: 'TypeError', message: /drop or accept/ })
  bad(5, { failOpen: 1 }, { name: 'TypeError', message: /failOpen/ })
  bad(5, { receiveBuffer: 1 }, { name: 'RangeError', message: /receiveBuffer/ })
  bad(5, { signal: AbortSignal.abort(new Error('too late')) }, { message: 'too late' })
})

t.test('a number that is taken, and options that a kernel lacks', { skip }, async (t) => {
  const { h2 } = await network(t, RULE)
  open(t, h2)
  t.throws(() => PacketQueue.open(5, { netns: h2.netns }), { code: 'EBUSY', message: /packet queue 5.*netlink port \d+.*take another number/ })
  const queue = open(t, h2, { uidGid: true, gso: true, failOpen: true }, 6)
  t.equal(queue.number, 6)
  queue.close()
  try {
    open(t, h2, { conntrack: true }, 6)
  } catch (error) {
    t.match(error, { code: 'EOPNOTSUPP', message: /CONFIG_NETFILTER_NETLINK_GLUE_CT/ })
    t.equal(line(h2, 6), undefined, 'it did nothing')
  }
})

t.test('the bound of the queue is the kernel\'s and what is beyond is counted, in order', { skip }, async (t) => {
  const { h1, h2 } = await network(t, RULE)
  const queue = open(t, h2, { maxLength: 50, copyRange: 32 })
  receiver(h2, 'ipv4', 'discard')
  const events = queue.events()
  await sendNumbered(h1, 'ipv4', 0, 200)
  t.same(line(h2), [50, 150, 0, 50], 'a slow consumer leaves them there')
  const seen: QueueEvent[] = []
  const received = async (count: number): Promise<QueuedPacket[]> => {
    const packets: QueuedPacket[] = []
    while (packets.length < count) {
      const { value } = await events.next()
      seen.push(value)
      if (value.type === 'packet') packets.push(value)
    }
    return packets
  }
  const first = await received(50)
  t.match(first[0], { truncated: true, originalLength: 48, payload: { length: 32 } })
  for (const packet of first) packet.accept()
  await sendNumbered(h1, 'ipv4', 200, 20)
  const second = await received(20)
  for (const packet of second) packet.accept()
  t.same(second.map(({ payload }) => numberIn(payload)), Array.from({ length: 20 }, (_, i) => 200 + i))
  const losses = seen.filter(({ type }) => type === 'loss')
  t.match(losses, [{ reason: 'full', count: 150, fate: 'dropped' }])
  t.equal(second[0]!.lostBefore, 150)
  t.equal([...first, ...second].reduce((sum, { lostBefore }) => sum + lostBefore, 0), 150)
  t.equal(counted(h2, 'ipv4', 'all'), 70)
})

t.test('what the receive buffer does not hold is lost where the numbers say', { skip }, async (t) => {
  const { h1, h2 } = await network(t, RULE)
  // Its own thread drains the socket into a queue of 2 MiB, so that must be full, too.
  const queue = open(t, h2, { receiveBuffer: 65536, maxLength: 65536 })
  receiver(h2, 'ipv4', 'discard')
  const events = queue.events()
  await sendNumbered(h1, 'ipv4', 0, 4000, 1400)
  const [waiting, , userDropped, lastId] = line(h2)!
  t.ok(userDropped! > 0, `${userDropped} did not fit`)
  t.equal(waiting! + userDropped!, 4000)
  t.equal(lastId, 4000)
  let lost = 0
  let next = 0
  for (let packets = 0; packets < waiting!;) {
    const { value } = await events.next()
    if (value.type === 'loss') { t.match(value, { reason: 'undelivered', fate: 'dropped' }); lost += value.count; next += value.count; continue }
    if (numberIn(value.payload) !== next) t.equal(numberIn(value.payload), next, 'the loss is where the gap is')
    next++
    packets++
    value.accept()
  }
  if (next < 4000) {
    const { value } = await events.next()
    t.match(value, { type: 'loss', count: 4000 - next }, 'those at the end, too')
    lost += value.count
  }
  t.equal(lost, userDropped)
  t.equal(counted(h2, 'ipv4', 'all'), waiting)
})

t.test('fail-open lets pass what finds no room', { skip }, async (t) => {
  const { h1, h2 } = await network(t, RULE)
  const queue = open(t, h2, { maxLength: 10, failOpen: true })
  receiver(h2, 'ipv4', 'discard')
  await sendNumbered(h1, 'ipv4', 0, 50)
  t.equal(counted(h2, 'ipv4', 'all'), 40)
  t.equal(line(h2)?.[0], 10)
  for (const packet of await take(queue, 10)) packet.drop()
  t.equal(counted(h2, 'ipv4', 'all'), 40)
})

t.test('closing drops what waits, or accepts it', { skip }, async (t) => {
  const { h1, h2 } = await network(t, RULE)
  receiver(h2, 'ipv4', 'discard')
  for (const [onClose, through] of [['drop', 0], ['accept', 20], [undefined, 0]] as const) {
    const before = counted(h2, 'ipv4', 'all')
    const queue = open(t, h2, { ...(onClose === undefined ? {} : { onClose }) })
    await sendNumbered(h1, 'ipv4', 0, 20)
    await take(queue, 5)
    queue.close()
    await eventually('the packets are answered', () => line(h2) === undefined)
    t.equal(counted(h2, 'ipv4', 'all') - before, through, `onClose: ${onClose}`)
  }
  // The same by a signal, by leaving the loop, by using.
  const controller = new AbortController()
  const aborted = open(t, h2, { onClose: 'accept', signal: controller.signal })
  const before = counted(h2, 'ipv4', 'all')
  await sendNumbered(h1, 'ipv4', 0, 3)
  await take(aborted, 3)
  const waiting = aborted.next()
  controller.abort(new Error('enough'))
  await t.rejects(waiting, { message: 'enough' })
  t.equal(counted(h2, 'ipv4', 'all') - before, 3)
  t.ok(aborted.closed)
  const left = open(t, h2, { onClose: 'accept' })
  await sendNumbered(h1, 'ipv4', 0, 3)
  for await (const packet of left) { t.equal(packet.id, 1); break }
  t.equal(counted(h2, 'ipv4', 'all') - before, 6)
  {
    await using used = open(t, h2, { onClose: 'accept' })
    await sendNumbered(h1, 'ipv4', 0, 3)
    t.notOk(used.closed)
  }
  t.equal(counted(h2, 'ipv4', 'all') - before, 9)
  t.equal(line(h2), undefined)
})

t.test('a packet that goes with its interface is reported when its verdict comes', { skip }, async (t) => {
  const { h1, h2 } = await network(t, RULE)
  const queue = open(t, h2)
  const events = queue.events()
  await sendNumbered(h1, 'ipv4', 0, 2)
  const packets = [(await events.next()).value, (await events.next()).value] as QueuedPacket[]
  run(h2.netns, 'ip', 'link', 'set', 'eth0', 'down')
  packets[1]!.accept()
  t.match((await events.next()).value, { type: 'loss', reason: 'gone', count: 1, id: 2 })
  queue.acceptUpTo(packets[0]!)
})

t.test('the connection of a packet', { skip }, async (t) => {
  const { h1, h2 } = await network(t, RULE)
  // Only now does the namespace track connections.
  filter(h2, 'ipv4', '-A INPUT -m conntrack --ctstate INVALID -j DROP')
  let queue: PacketQueue
  try {
    queue = open(t, h2, { conntrack: true })
  } catch (error) {
    if ((error as { code?: string }).code !== 'EOPNOTSUPP') throw error
    t.comment('this kernel has no CONFIG_NETFILTER_NETLINK_GLUE_CT; those of the vm ring do')
    return
  }
  receiver(h2, 'ipv4', 'discard')
  await sendNumbered(h1, 'ipv4', 0, 1)
  const [packet] = await take(queue, 1)
  t.match(packet!.conntrack, {
    state: 'new', id: Number, original: { source: '192.168.0.1', destination: '192.168.0.2', protocol: 17, destinationPort: 4000 },
    reply: { source: '192.168.0.2', destination: '192.168.0.1', protocol: 17, sourcePort: 4000 },
  })
  t.equal(packet!.conntrack!.original!.sourcePort, packet!.conntrack!.reply!.destinationPort)
  packet!.accept()
})

t.test('packets of this machine, with their user', { skip }, async (t) => {
  const { h1 } = await network(t, RULE)
  filter(h1, 'ipv4', '-A OUTPUT -p udp --dport 4000 -j NFQUEUE --queue-num 9')
  const queue = open(t, h1, { uidGid: true }, 9)
  await sendNumbered(h1, 'ipv4', 0, 1)
  const [own] = await take(queue, 1)
  t.match(own, { hook: 'OUTPUT', in: null, out: { name: 'eth0' }, uid: process.getuid!(), gid: process.getgid!(), hardwareAddress: null })
  own!.drop()
})

t.test('the bridge and its ports of a bridged packet', { skip }, async (t) => {
  const { Lab } = await import('../../lib/lab/index.js')
  const lab = await Lab.create()
  t.teardown(() => lab.close())
  const box = lab.box('box')
  const bridge = box.bridge('br0')
  const [h1, h2] = [1, 2].map((n) => {
    const host = lab.host(`h${n}`)
    lab.wire({ host, addresses: [`192.168.0.${n}/24`] }, { host: box, name: `eth${n}` })
    bridge.addPort(`eth${n}`)
    return host
  })
  try {
    bridge.netfilter.setNamespace({ callIptables: true })
  } catch (error) {
    t.comment(`no br_netfilter: ${(error as Error).message}`)
    return
  }
  filter(box, 'ipv4', '-A FORWARD -p icmp -j NFQUEUE --queue-num 3')
  const queue = open(t, box, { maxLength: 10 }, 3)
  const answer = h1!.ping(h2!, { count: 1 })
  const [there] = await take(queue, 1)
  t.match(there, { hook: 'FORWARD', in: { name: 'br0' }, out: { name: 'br0' }, physicalIn: { name: 'eth1' }, physicalOut: { name: 'eth2' } })
  // Linux before 6.2 renames only what is down.
  const renamed = tryRun(box.netns, 'ip', 'link', 'set', 'eth1', 'name', 'lan1').status === 0 ? 'lan1' : 'eth1'
  t.equal(there!.physicalIn!.name, renamed, 'its name of now')
  there!.accept()
  const [back] = await take(queue, 1)
  t.match(back, { physicalIn: { name: 'eth2' }, physicalOut: { name: renamed } })
  back!.accept()
  t.equal((await answer).received, 1)
})

/**
 * Sends PACKETS packets, and then some more, one now and then, until the consumer has answered all that came and has been told of all
 * that the kernel counts as dropped. Answers how many were sent.
 */
async function sendAll(h1: Host, h2: Host, queue: PacketQueue, told: () => number): Promise<number> {
  await sendNumbered(h1, 'ipv4', 0, PACKETS)
  let sent = PACKETS
  for (const end = performance.now() + 300_000; performance.now() < end;) {
    const [waiting, dropped, userDropped] = line(h2)!
    if (waiting === 0 && told() === dropped! + userDropped!) break
    if (waiting === 0) await sendNumbered(h1, 'ipv4', sent++, 1)
    await new Promise((resolve) => { setTimeout(resolve, 10) })
  }
  queue.close()
  return sent
}

t.test(`${PACKETS} packets and a fast consumer: every verdict is applied and every loss reported`, { skip, timeout: 600_000 }, async (t) => {
  const { h1, h2 } = await network(t, `-m mark ! --mark 2 ${RULE}`)
  const queue = open(t, h2)
  receiver(h2, 'ipv4', 'discard')
  const counts = [0, 0, 0, 0]
  let last = -1
  let lost = 0
  const consumed = (async () => {
    for await (const event of queue.events()) {
      if (event.type === 'loss') { lost += event.count; continue }
      const number = numberIn(event.payload)
      if (number <= last) t.fail(`${number} after ${last}`)
      last = number
      counts[number % 4]!++
      if (number % 4 === 0) event.accept()
      else if (number % 4 === 1) event.accept({ mark: 1 })
      else if (number % 4 === 2) event.repeat({ mark: 2 })
      else event.drop()
    }
  })()
  const sent = await sendAll(h1, h2, queue, () => lost)
  await consumed
  const taken = counts.reduce((a, b) => a + b)
  t.comment(`${taken} taken, ${lost} lost`)
  t.equal(taken + lost, sent, 'none is unaccounted for')
  t.same(['all', 'm1', 'm2'].map((name) => counted(h2, 'ipv4', name)), [counts[0]! + counts[1]! + counts[2]!, counts[1], counts[2]])
})

t.test(`${PACKETS} packets and a slow consumer: the bound is kept`, { skip, timeout: 600_000 }, async (t) => {
  const { h1, h2 } = await network(t, RULE)
  const queue = open(t, h2, { maxLength: 100 })
  receiver(h2, 'ipv4', 'discard')
  let taken = 0
  let lost = 0
  let before = 0
  let most = 0
  const consumed = (async () => {
    for await (const event of queue.events()) {
      if (event.type === 'loss') { lost += event.count; continue }
      before += event.lostBefore
      if (taken++ % 50 === 0) most = Math.max(most, queue.statistics().waiting)
      // Slower than the packets come: others run meanwhile.
      await new Promise((resolve) => { setImmediate(resolve) })
      event.accept()
    }
  })()
  const sent = await sendAll(h1, h2, queue, () => lost)
  await consumed
  t.comment(`${taken} taken, ${lost} lost, at most ${most} waiting`)
  t.ok(most <= 100 && most > 0)
  t.ok(lost > 0)
  t.equal(taken + lost, sent, 'all are accounted for')
  t.ok(before <= lost, 'and the packets tell no more')
  t.equal(counted(h2, 'ipv4', 'all'), taken)
})

for (const bypass of [false, true]) {
  t.test(`a consumer that is killed: what waits is dropped, what comes later is ${bypass ? 'let pass' : 'dropped'}`, { skip, timeout: 600_000 }, async (t) => {
    const { h1, h2 } = await network(t, `${RULE}${bypass ? ' --queue-bypass' : ''}`)
    receiver(h2, 'ipv4', 'discard')
    const program = fileURLToPath(new URL('../support/queue-consumer.js', import.meta.url))
    const accept = Math.min(PACKETS, 1000)
    const child = spawn(process.execPath, [program, h2.netns.path, '5', String(accept)], { stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => { said += text })
    await eventually('the consumer has the queue', () => said.includes('ready'))
    await sendNumbered(h1, 'ipv4', 0, accept)
    await eventually('all have been accepted', () => counted(h2, 'ipv4', 'all') === accept)
    await sendNumbered(h1, 'ipv4', accept, 100)
    await eventually('it holds the others', () => said.includes('holding'))
    t.equal(line(h2)?.[0], 100)
    child.kill('SIGKILL')
    await once(child, 'close')
    t.equal(child.signalCode, 'SIGKILL')
    await eventually('the queue is gone', () => line(h2) === undefined)
    await sendNumbered(h1, 'ipv4', 0, 100)
    t.equal(counted(h2, 'ipv4', 'all'), accept + (bypass ? 100 : 0))
    // Whoever comes next has the queue at once.
    const queue = open(t, h2)
    await sendNumbered(h1, 'ipv4', 0, 1)
    const [packet] = await take(queue, 1)
    t.equal(packet!.id, 1)
    packet!.accept()
  })
}

t.test('in a worker, whose end gives the queue back', { skip }, async (t) => {
  const { h1, h2 } = await network(t, RULE)
  receiver(h2, 'ipv4', 'discard')
  const worker = new Worker(new URL('../support/queue-consumer.js', import.meta.url), { argv: [h2.netns.path, '5', '10'], stdout: true })
  let said = ''
  worker.stdout.setEncoding('utf8').on('data', (text: string) => { said += text })
  await eventually('the worker has the queue', () => said.includes('ready'))
  await sendNumbered(h1, 'ipv4', 0, 15)
  await eventually('it holds what is too much', () => said.includes('holding') && counted(h2, 'ipv4', 'all') === 10)
  t.equal(line(h2)?.[0], 5)
  await worker.terminate()
  await eventually('the queue is gone', () => line(h2) === undefined)
  t.equal(counted(h2, 'ipv4', 'all'), 10)
})

t.test('many queues at once', { skip }, async (t) => {
  const { h1, h2 } = await network(t, '-j NFQUEUE --queue-balance 10:25 --queue-cpu-fanout')
  const queues = Array.from({ length: 16 }, (_, i) => open(t, h2, {}, 10 + i))
  receiver(h2, 'ipv4', 'discard')
  let taken = 0
  const all = queues.map(async (queue) => { for await (const packet of queue) { taken++; packet.accept() } })
  await sendNumbered(h1, 'ipv4', 0, 500)
  await eventually('all came', () => taken === 500)
  for (const queue of queues) queue.close()
  await Promise.all(all)
  t.equal(counted(h2, 'ipv4', 'all'), 500)
})

t.test('a packet made by hand', { skip }, async (t) => {
  const { h1, h2 } = await network(t, RULE)
  const queue = open(t, h2)
  const socket = receiver(h2, 'ipv4')
  await sendNumbered(h1, 'ipv4', 0, 1)
  const [packet] = await take(queue, 1)
  const { source, destination } = decodeIpv4(packet!.payload)
  const udp = encodeUdp({ sourcePort: 7, destinationPort: 4000, payload: Buffer.from('from nowhere') }, { source, destination })
  packet!.accept({ payload: encodeIpv4({ source, destination, protocol: 17, payload: udp }) })
  const { data, from } = await socket.receive()
  t.equal(Buffer.from(data).toString(), 'from nowhere')
  t.equal(from.port, 7)
})
