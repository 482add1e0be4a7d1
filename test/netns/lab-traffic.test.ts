// SPDX-License-Identifier: MIT

import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type FlowOptions, Lab, type PingResult } from '../../lib/lab/index.js'
import { filter, impatient, snmp, snmp6, twoHosts } from '../support/lab.js'
import { ipJson, noTcpdump, run } from '../support/outside.js'

t.test('ping, counted by the host that answers', async (t) => {
  const { h1, h2 } = await twoHosts(t)
  const four = await h1.ping('192.168.0.2', { count: 5, interval: 5, size: 100, ttl: 9 })
  t.match(four, { address: '192.168.0.2', sent: 5, received: 5, errors: [] })
  t.same(four.replies.map(({ sequence, from, size, ttl }) => ({ sequence, from, size, ttl })),
    [1, 2, 3, 4, 5].map((sequence) => ({ sequence, from: '192.168.0.2', size: 100, ttl: 64 })))
  t.ok(four.rtts.length === 5 && four.rtts.every((rtt) => rtt > 0 && rtt < 1000), `round trips of ${four.rtts} ms`)
  t.equal(snmp(h2, 'Icmp', 'InEchos'), 5)
  const six = await h1.ping('fd00::2', { count: 3, interval: 5 })
  t.match(six, { sent: 3, received: 3, replies: [{ from: 'fd00::2', ttl: 64 }, {}, {}] })
  t.equal(snmp6(h2, 'Icmp6InEchos'), 3)
  t.match(await h1.ping(h2), { address: '192.168.0.2', received: 1 })
  t.match(await h1.ping(h1), { address: '192.168.0.1', received: 1 })
  t.match(await h1.ping('127.0.0.1', { size: 65507 }), { received: 1, replies: [{ size: 65507 }] })
  t.match(await h1.ping('::1', { size: 0 }), { received: 1, replies: [{ size: 0 }] })
})

t.test('pings that overlap get their own answers', async (t) => {
  const { h1 } = await twoHosts(t)
  const to = (i: number) => (i % 2 === 0 ? '192.168.0.2' : 'fd00::2')
  const results = await Promise.all(Array.from({ length: 8 }, (_, i) => h1.ping(to(i), { count: 10, interval: 2 })))
  for (const { sent, received, replies } of results) t.same([sent, received, replies.length], [10, 10, 10])
})

t.test('options of a ping, as tcpdump sees them', { skip: noTcpdump }, async (t) => {
  const { h1, h2 } = await twoHosts(t)
  h1.addAddress('eth0', '192.168.0.77/24')
  const requests = 'icmp[icmptype] == icmp-echo or (icmp6 and ip6[40] == 128)'
  const dump = h2.spawn('tcpdump', ['--immediate-mode', '-l', '-nn', '-v', '-i', 'eth0', '-c', '4', requests], { stdio: ['ignore', 'pipe', 'pipe'] })
  const text = new Promise<string>((resolve) => {
    let all = ''
    dump.stdout!.setEncoding('utf8').on('data', (part: string) => { all += part }).once('end', () => resolve(all.replace(/\n\s+/g, ' ')))
  })
  await new Promise((resolve) => dump.stderr!.once('data', resolve))
  await h1.ping('192.168.0.2', { ttl: 7, size: 20, dontFragment: true })
  await h1.ping('192.168.0.2', { source: '192.168.0.77', dontFragment: false })
  await h1.ping('fd00::2', { ttl: 8, size: 30 })
  await h1.ping('fe80::ff:fe00:201%eth0', { interface: 'eth0' })
  const [first, second, third, fourth] = (await text).split('\n')
  t.match(first, /ttl 7,.*flags \[DF\].*length 48\) 192\.168\.0\.1 > 192\.168\.0\.2: ICMP echo request, id \d+, seq 1, length 28/)
  t.match(second, /flags \[none\].*192\.168\.0\.77 > 192\.168\.0\.2: ICMP echo request/)
  t.match(third, /hlim 8,.*fd00::1 > fd00::2: \[icmp6 sum ok\] ICMP6, echo request, id \d+, seq 1/)
  t.match(fourth, /fe80::ff:fe00:101 > fe80::ff:fe00:201: \[icmp6 sum ok\] ICMP6, echo request/)
})

t.test('a group answers with many voices', async (t) => {
  const lab = await Lab.create()
  t.teardown(() => lab.close())
  const box = lab.box('box', { ipv6: false })
  const bridge = box.bridge('br0')
  for (const n of [1, 2, 3]) {
    lab.wire({ host: lab.host(`h${n}`), addresses: [`192.168.0.${n}/24`] }, { host: box, name: `eth${n}` })
    bridge.addPort(`eth${n}`)
  }
  const { replies, received } = await lab.find('h1').ping('ff02::1%eth0', { timeout: 500 })
  t.equal(received, 1)
  t.same(new Set(replies.map(({ from }) => from)), new Set(['fe80::ff:fe00:201', 'fe80::ff:fe00:301', 'fe80::ff:fe00:401']))
  t.notOk(replies.some(({ duplicate }) => duplicate))
})

const brief = ({ received, errors }: PingResult) => [
  received, ...errors.map((error) => (error.kind === 'local' ? error.code : `${error.reason} ${error.type}/${error.code} ${error.from}`)),
]

t.test('why a ping has no answer', async (t) => {
  const { h1, h2 } = await twoHosts(t)
  t.same(brief(await h1.ping('10.0.0.1')), [0, 'ENETUNREACH'])
  t.same(brief(await h1.ping('192.168.0.2', { size: 1600, dontFragment: true })), [0, 'EMSGSIZE'])
  impatient(h1, 'eth0')
  t.same(brief(await h1.ping('192.168.0.9', { timeout: 3000 })), [0, 'host-unreachable 3/1 192.168.0.1'])
  t.same(brief(await h1.ping('fd00::9', { timeout: 3000 })), [0, 'address-unreachable 1/3 fd00::1'])
  filter(h1, 'ipv4', '-A OUTPUT -d 192.168.0.2 -m ttl --ttl-eq 3 -j DROP')
  t.same(brief(await h1.ping('192.168.0.2', { ttl: 3 })), [0, 'EPERM'])
  for (const [how, reason] of [
    ['icmp-port-unreachable', 'port-unreachable 3/3'], ['icmp-proto-unreachable', 'protocol-unreachable 3/2'],
    ['icmp-net-unreachable', 'network-unreachable 3/0'], ['icmp-host-unreachable', 'host-unreachable 3/1'],
    ['icmp-net-prohibited', 'network-prohibited 3/9'], ['icmp-host-prohibited', 'host-prohibited 3/10'],
    ['icmp-admin-prohibited', 'administratively-prohibited 3/13'],
  ]) {
    filter(h2, 'ipv4', `-I INPUT -p icmp --icmp-type echo-request -j REJECT --reject-with ${how}`)
    t.same(brief(await h1.ping('192.168.0.2')), [0, `${reason} 192.168.0.2`])
  }
  for (const [how, reason] of [
    ['icmp6-adm-prohibited', 'administratively-prohibited 1/1'], ['icmp6-no-route', 'no-route 1/0'],
    ['icmp6-port-unreachable', 'port-unreachable 1/4'],
  ]) {
    filter(h2, 'ipv6', `-I INPUT -p icmpv6 --icmpv6-type echo-request -j REJECT --reject-with ${how}`)
    t.same(brief(await h1.ping('fd00::2')), [0, `${reason} fd00::2`])
  }
  filter(h2, 'ipv4', '-I INPUT -j DROP')
  const start = performance.now()
  t.match(await h1.ping('192.168.0.2', { timeout: 80, count: 2, interval: 10 }), { sent: 2, received: 0, replies: [], errors: [] })
  t.ok(performance.now() - start < 1000)
})

t.test('errors of routers', async (t) => {
  const lab = await Lab.create()
  t.teardown(() => lab.close())
  const router = lab.box('router', { forwarding: true })
  const h1 = lab.host('h1')
  const h2 = lab.host('h2')
  lab.wire({ host: h1, addresses: ['10.0.1.1/24', 'fd01::1/64'] }, { host: router, addresses: ['10.0.1.254/24', 'fd01::254/64'] })
  lab.wire({ host: h2, addresses: ['10.0.2.1/24', 'fd02::1/64'] }, { host: router, addresses: ['10.0.2.254/24', 'fd02::254/64'] }, { mtu: 1300 })
  for (const [host, n] of [[h1, 1], [h2, 2]] as const) {
    host.addRoute({ destination: 'default', gateway: `10.0.${n}.254` })
    host.addRoute({ destination: 'default', family: 'ipv6', gateway: `fd0${n}::254` })
  }
  t.match(await h1.ping(h2), { received: 1, replies: [{ ttl: 63 }] })
  t.match(await h1.ping('fd02::1'), { received: 1, replies: [{ ttl: 63 }] })
  t.same(brief(await h1.ping(h2, { ttl: 1 })), [0, 'time-exceeded 11/0 10.0.1.254'])
  t.same(brief(await h1.ping('fd02::1', { ttl: 1 })), [0, 'time-exceeded 3/0 fd01::254'])
  t.same(brief(await h1.ping('10.9.9.9')), [0, 'network-unreachable 3/0 10.0.1.254'])
  t.same(brief(await h1.ping('fd09::1')), [0, 'no-route 1/0 fd01::254'])
  t.match(await h1.ping(h2, { size: 1400, dontFragment: true }), { received: 0, errors: [{ kind: 'icmp', reason: 'fragmentation-needed', mtu: 1300 }] })
  t.match(await h1.ping('fd02::1', { size: 1400 }), { received: 0, errors: [{ kind: 'icmp', reason: 'packet-too-big', mtu: 1300, type: 2 }] })
})

t.test('a ping ends with its signal', async (t) => {
  const { h1 } = await twoHosts(t)
  const controller = new AbortController()
  const ping = h1.ping('192.168.0.9', { count: 100, timeout: 60000, signal: controller.signal })
  await sleep(20)
  controller.abort(new Error('enough'))
  await t.rejects(ping, { message: 'enough' })
  await t.rejects(h1.ping('192.168.0.2', { signal: controller.signal }), { message: 'enough' })
})

t.test('an answer that came while the event loop was blocked counts', async (t) => {
  const { h1 } = await twoHosts(t)
  const ping = h1.ping('192.168.0.2', { timeout: 50 })
  const end = performance.now() + 200
  while (performance.now() < end);
  const { received, rtts } = await ping
  t.equal(received, 1)
  t.ok(rtts[0]! < 100, `the blocked time is no part of the ${rtts[0]} ms`)
})

t.test('TCP flows', async (t) => {
  const { lab, h1, h2 } = await twoHosts(t)
  const before = ipJson(h2.netns, '-s', 'link', 'show', 'eth0')[0].stats64.rx.bytes
  t.match(await lab.flow({ from: h1, to: h2, port: 80, bytes: 3_000_000 }), {
    protocol: 'tcp', address: '192.168.0.2', port: 80, outcome: 'completed', bytesSent: 3_000_000, bytesReceived: 3_000_000,
  })
  const after = ipJson(h2.netns, '-s', 'link', 'show', 'eth0')[0].stats64.rx.bytes
  t.ok(after - before > 3_000_000, 'they went over the wire')
  t.equal(h2.statistics('eth0').rxBytes, after)
  t.match(await lab.flow({ from: h1, to: h2, family: 'ipv6' }), { address: 'fd00::2', outcome: 'completed', bytesReceived: 65536 })
  t.match(await lab.flow({ from: h1, to: h2, bytes: 0 }), { outcome: 'completed', bytesReceived: 0 })
  t.match(await lab.flow({ from: h1, to: h2, port: 81, listen: false }), { outcome: 'refused', code: 'ECONNREFUSED', bytesSent: 0 })
  t.match(await lab.flow({ from: h1, to: h2, address: '10.1.1.1' }), { outcome: 'unreachable', code: 'ENETUNREACH' })
  impatient(h1, 'eth0')
  t.match(await lab.flow({ from: h1, to: h2, address: '192.168.0.9', timeout: 20000 }), { outcome: 'unreachable', code: 'EHOSTUNREACH' })
  filter(h2, 'ipv4', '-A INPUT -p tcp --dport 82 -j DROP')
  t.match(await lab.flow({ from: h1, to: h2, port: 82, timeout: 150 }), { outcome: 'timed-out', bytesReceived: 0 })
  filter(h2, 'ipv4', '-A INPUT -p tcp --dport 83 -j REJECT --reject-with tcp-reset')
  t.match(await lab.flow({ from: h1, to: h2, port: 83 }), { outcome: 'refused' })
  filter(h2, 'ipv4', '-A INPUT -p tcp --dport 84 -j REJECT --reject-with icmp-host-prohibited')
  t.match(await lab.flow({ from: h1, to: h2, port: 84 }), { outcome: 'unreachable', code: 'EHOSTUNREACH' })
  filter(h2, 'ipv6', '-A INPUT -p tcp --dport 84 -j REJECT --reject-with icmp6-adm-prohibited')
  t.match(await lab.flow({ from: h1, to: h2, port: 84, family: 'ipv6' }), { outcome: 'unreachable', code: 'EACCES' })
  // Everything after the handshake is answered with a reset.
  filter(h2, 'ipv4', '-A INPUT -p tcp --dport 85 --tcp-flags PSH PSH -j REJECT --reject-with tcp-reset')
  t.match(await lab.flow({ from: h1, to: h2, port: 85 }), { outcome: 'reset', code: 'ECONNRESET' })
  await t.rejects(lab.flow({ from: h1, to: h2, port: 82, signal: AbortSignal.timeout(30) }), { name: 'TimeoutError' })
})

t.test('UDP flows', async (t) => {
  const { lab, h1, h2 } = await twoHosts(t)
  const udp = (options: Partial<FlowOptions>) => lab.flow({ from: h1, to: h2, protocol: 'udp', ...options })
  t.match(await udp({ port: 9, bytes: 1_000_000 }), { protocol: 'udp', port: 9, outcome: 'completed', bytesSent: 1_000_000, bytesReceived: 1_000_000 })
  t.equal(snmp(h2, 'Udp', 'InDatagrams'), 1000)
  t.match(await udp({ family: 'ipv6', bytes: 2500, size: 1000 }), { outcome: 'completed', bytesReceived: 2500 })
  t.match(await udp({ port: 81, listen: false }), { outcome: 'refused', code: 'ECONNREFUSED' })
  filter(h2, 'ipv4', '-A INPUT -p udp --dport 82 -j REJECT --reject-with icmp-admin-prohibited')
  t.match(await udp({ port: 82 }), { outcome: 'unreachable', code: 'EHOSTUNREACH' })
  filter(h2, 'ipv4', '-A INPUT -p udp --dport 83 -m statistic --mode nth --every 2 --packet 0 -j DROP')
  t.match(await udp({ port: 83, bytes: 20_000, timeout: 1500 }), { outcome: 'timed-out', bytesSent: 20_000, bytesReceived: 10_000 })
  filter(h1, 'ipv4', '-A OUTPUT -p udp --dport 84 -j DROP')
  t.match(await udp({ port: 84 }), { outcome: 'not-permitted', code: 'EPERM' })
})

t.test('connections, by hand', async (t) => {
  const { h1, h2 } = await twoHosts(t)
  const listener = h2.listen({ port: 7, serve: 'echo' })
  t.match(run(h2.netns, 'ss', '-Htln'), /0\.0\.0\.0:7\s/)
  t.throws(() => h2.listen({ port: 7 }), { code: 'EADDRINUSE' })
  const connection = await h1.connect({ address: h2, port: 7, source: '192.168.0.1', sourcePort: 4000 })
  t.match(run(h1.netns, 'ss', '-Htn'), /192\.168\.0\.1:4000\s+192\.168\.0\.2:7/)
  t.same([connection.local, connection.remote], [{ family: 'ipv4', address: '192.168.0.1', port: 4000 }, { family: 'ipv4', address: '192.168.0.2', port: 7 }])
  // More than the buffers of both ends hold: writing and reading must go on at the same time.
  const sent = Buffer.alloc(20_000_000, 'nfkit')
  const received = connection.readAll({ most: 1 << 25, timeout: 20000 })
  await connection.write(sent, { timeout: 20000 })
  connection.end()
  t.ok(sent.equals(await received))
  connection.close()
  t.same(listener.failures, [])
  await t.rejects(connection.read(), { code: 'NFKIT_CLOSED' })

  const waiting = h2.listen({ address: '::' })
  const [accepted, connected] = await Promise.all([waiting.accept({ timeout: 2000 }), h1.connect({ address: 'fd00::2', port: waiting.port })])
  t.equal(accepted.remote.address, 'fd00::1')
  await t.rejects(connected.read({ timeout: 30 }), { code: 'ETIMEDOUT' })
  await connected.write('half')
  t.equal(Buffer.from((await accepted.read())!).toString(), 'half')
  accepted.reset()
  await t.rejects(connected.read({ timeout: 2000 }), { code: 'ECONNRESET' })
  await t.rejects(connected.write('x'), { code: /EPIPE|ECONNRESET/ as never })
  await t.rejects(waiting.accept({ timeout: 30 }), { code: 'ETIMEDOUT' })
  t.throws(() => h1.listen({ address: '192.168.0.2' }), { code: 'EADDRNOTAVAIL' })
  await t.rejects(h1.connect({ address: '192.168.0.2', port: 9 }), { code: 'ECONNREFUSED', message: /192\.168\.0\.2:9/ })
  filter(h2, 'ipv4', '-A INPUT -j DROP')
  await t.rejects(h1.connect({ address: '192.168.0.2', port: 7, timeout: 50 }), { code: 'ETIMEDOUT' })
  await t.rejects(h1.connect({ address: '192.168.0.2', port: 7, signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' })
})

t.test('what a handler throws is kept', async (t) => {
  const { h1, h2 } = await twoHosts(t)
  const listener = h2.listen({ serve: () => { throw new Error('of the handler') } })
  const connection = await h1.connect({ address: h2, port: listener.port })
  t.equal(await connection.read({ timeout: 2000 }), null)
  t.match(listener.failures, [{ message: 'of the handler' }])
})

t.test('datagrams, by hand', async (t) => {
  const { h1, h2 } = await twoHosts(t)
  const server = h2.listen({ protocol: 'udp', port: 7 })
  const client = h1.listen({ protocol: 'udp' })
  await client.send('one', { address: '192.168.0.2', port: 7 })
  const { data, from } = await server.receive({ timeout: 2000 })
  t.same([Buffer.from(data).toString(), from], ['one', { family: 'ipv4', address: '192.168.0.1', port: client.port }])
  await server.send(data, from)
  t.equal(Buffer.from((await client.receive({ timeout: 2000 })).data).toString(), 'one')
  await client.send('all', { address: '192.168.0.255', port: 7 }).catch((error) => t.equal(error.code, 'EACCES'))
  await t.rejects(client.receive({ timeout: 30 }), { code: 'ETIMEDOUT' })
  const connected = await h1.connect({ protocol: 'udp', address: h2, port: 8 })
  await connected.send('nobody is there')
  await t.rejects(connected.receive({ timeout: 2000 }), { code: 'ECONNREFUSED' })
  const echo = h2.listen({ protocol: 'udp', address: '::', serve: 'echo' })
  const six = await h1.connect({ protocol: 'udp', address: 'fe80::ff:fe00:201%eth0', port: echo.port })
  await six.send('link-local')
  t.match(await six.receive({ timeout: 2000 }), { from: { address: 'fe80::ff:fe00:201', scopeId: ipJson(h1.netns, 'link', 'show', 'eth0')[0].ifindex } })
  await t.rejects(client.send(new Uint8Array(65508), { address: '192.168.0.2', port: 7 }), { code: 'EMSGSIZE' })
  await t.rejects(client.send('x'), { code: 'EDESTADDRREQ' })
})

t.test('a long flow lets others have their turn, and ends in time', async (t) => {
  const { lab, h1, h2 } = await twoHosts(t)
  let ticks = 0
  const timer = setInterval(() => { ticks++ }, 5)
  const { outcome, duration } = await lab.flow({ from: h1, to: h2, bytes: 2 ** 30, timeout: 400 })
  clearInterval(timer)
  t.equal(outcome, 'timed-out')
  t.ok(duration < 5000 && ticks > 0, `${ticks} ticks in ${duration} ms`)
})
