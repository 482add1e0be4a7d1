// SPDX-License-Identifier: MIT
// What verdicts do to real packets: rules of nfkit on a router, effects at the hosts behind it, counters as iptables-legacy tells them.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Netfilter, type NetfilterRule, PacketLog, PacketQueue, Rule } from '../../lib/index.js'
import { type Host, Lab } from '../../lib/lab/index.js'
import { BRIEFLY, counted, framesOf, noTables, PATIENCE, reasons, sendTo, setRules } from '../support/packet-rules.js'
import { type Family, FAMILIES, lacksTarget } from '../support/queue.js'

const directory = mkdtempSync(join(tmpdir(), 'nfkit-'))
process.env['XTABLES_LOCKFILE'] = join(directory, 'lock')
t.teardown(() => rmSync(directory, { recursive: true }))

/** Last parts of addresses: the hosts are 1 of their networks 1 to 3, the router is 254 of each. */
const at = { ipv4: (network: number, host: number) => `10.0.${network}.${host}`, ipv6: (network: number, host: number) => `fd0${network}::${host}` } as const

interface Network {
  lab: Lab
  router: Host
  h1: Host
  h2: Host
  h3: Host
  nf: Netfilter
  /** Addresses of the hosts, and of the router towards h1 and h2. */
  a1: string
  a2: string
  a3: string
  r1: string
  r2: string
}

/** h1, h2 and h3 around a router: at its eth0, eth1 and eth2. */
async function network(t: Test, family: Family): Promise<Network> {
  const lab = await Lab.create()
  t.teardown(() => lab.close())
  const router = lab.box('router', { forwarding: true, ipv6: family === 'ipv6' })
  const address = at[family]
  const length = family === 'ipv4' ? 24 : 64
  const [h1, h2, h3] = [1, 2, 3].map((n) => {
    const host = lab.host(`h${n}`, { ipv6: family === 'ipv6' })
    lab.wire({ host, name: 'eth0', addresses: [`${address(n, 1)}/${length}`] }, { host: router, name: `eth${n - 1}`, addresses: [`${address(n, 254)}/${length}`] })
    host.addRoute({ destination: 'default', family, gateway: address(n, 254) })
    return host
  }) as [Host, Host, Host]
  const nf = Netfilter.open({ netns: router.netns, family })
  t.teardown(() => nf.close())
  return { lab, router, h1, h2, h3, nf, a1: address(1, 1), a2: address(2, 1), a3: address(3, 1), r1: address(1, 254), r2: address(2, 254) }
}

const udp = (port: number): Pick<NetfilterRule, 'protocol' | 'matches'> => ({ protocol: 'udp', matches: [{ name: 'udp', destinationPorts: [port, port] }] })
const tcp = (port: number): Pick<NetfilterRule, 'protocol' | 'matches'> => ({ protocol: 'tcp', matches: [{ name: 'tcp', destinationPorts: [port, port] }] })
const SYN: NonNullable<NetfilterRule['matches']>[number] = { name: 'tcp', flags: { mask: ['SYN', 'RST'], set: ['SYN'] } }
const echo = (family: Family): NetfilterRule => (family === 'ipv4' ? { protocol: 'icmp', matches: [{ name: 'icmp', type: 'echo-request' }] } : { protocol: 'ipv6-icmp', matches: [{ name: 'icmp6', type: 'echo-request' }] })

/** Receives datagrams at some ports of a host; answers what came to each so far. */
function receivers(host: Host, family: Family, ports: readonly number[]) {
  const sockets = ports.map((port) => host.listen({ protocol: 'udp', port, address: family === 'ipv4' ? '0.0.0.0' : '::' }))
  return {
    /** The next datagram of one of them. */
    next: async (port: number) => Buffer.from((await sockets[ports.indexOf(port)]!.receive({ timeout: PATIENCE })).data).toString(),
    more: () => sockets.flatMap((socket, i) => (socket.poll() === undefined ? [] : [ports[i]!])),
    from: async (port: number) => (await sockets[ports.indexOf(port)]!.receive({ timeout: PATIENCE })).from,
  }
}

const REJECTS = {
  ipv4: [
    ['icmp-net-unreachable', 'network-unreachable 3/0'], ['icmp-host-unreachable', 'host-unreachable 3/1'], ['icmp-proto-unreachable', 'protocol-unreachable 3/2'],
    ['icmp-port-unreachable', 'port-unreachable 3/3'], ['icmp-net-prohibited', 'network-prohibited 3/9'], ['icmp-host-prohibited', 'host-prohibited 3/10'],
    ['icmp-admin-prohibited', 'administratively-prohibited 3/13'], [undefined, 'port-unreachable 3/3'],
  ],
  ipv6: [
    ['icmp6-no-route', 'no-route 1/0'], ['icmp6-adm-prohibited', 'administratively-prohibited 1/1'], ['icmp6-addr-unreachable', 'address-unreachable 1/3'],
    ['icmp6-port-unreachable', 'port-unreachable 1/4'], ['icmp6-policy-fail', 'source-address-failed-policy 1/5'], ['icmp6-reject-route', 'reject-route 1/6'],
    [undefined, 'port-unreachable 1/4'],
  ],
} as const

for (const family of FAMILIES) {
  t.test(`${family}: verdicts`, { skip: noTables }, async (t) => {
    const { lab, router, h1, h2, h3, nf, a2, a3, r1 } = await network(t, family)
    const { netns } = router

    await t.test('ACCEPT, DROP, a rule that only counts, a policy', async (t) => {
      await setRules(nf, 'filter', { FORWARD: ['DROP', { ...udp(1000), outInterface: 'eth1' }, { ...udp(1000), target: { name: 'ACCEPT' } }, { ...udp(1001), target: { name: 'DROP' } }] })
      const at2 = receivers(h2, family, [1000, 1001, 1002])
      for (const port of [1001, 1002, 1000]) await sendTo(h1, a2, port, ['a', 'b', 'c'])
      for (const text of ['a', 'b', 'c']) t.equal(await at2.next(1000), text)
      await counted(t, nf, netns, 'filter', 'FORWARD', [3, 3, 3])
      t.same(at2.more(), [])
      t.equal(nf.table('filter').chain('FORWARD').counters!.packets, 3, 'the policy')
    })

    await t.test('RETURN, jump and goto', async (t) => {
      const rule = (target?: NetfilterRule['target']): NetfilterRule => ({ ...echo(family), ...(target === undefined ? {} : { target }) })
      await setRules(nf, 'filter', {
        FORWARD: ['DROP', rule({ jump: 'jumped' }), rule(), rule({ jump: 'going' }), rule(), rule({ name: 'ACCEPT' }), { target: { name: 'ACCEPT' } }],
        jumped: [rule({ jump: 'inner' }), rule(), rule({ name: 'RETURN' }), rule({ name: 'DROP' })],
        going: [rule({ goto: 'inner' }), rule({ name: 'DROP' })],
        inner: [rule({ name: 'RETURN' }), rule({ name: 'DROP' })],
      })
      t.match(await h1.ping(a2, { count: 2, interval: 5, timeout: PATIENCE }), { received: 2 })
      await counted(t, nf, netns, 'filter', 'FORWARD', [2, 2, 2, 2, 2, 2])
      await counted(t, nf, netns, 'filter', 'jumped', [2, 2, 2, 0])
      await counted(t, nf, netns, 'filter', 'going', [2, 0])
      await counted(t, nf, netns, 'filter', 'inner', [4, 0])
      // With goto in the built-in chain, RETURN leads to the policy; with jump it came back.
      await setRules(nf, 'filter', { FORWARD: ['DROP', rule({ goto: 'inner' }), rule({ name: 'ACCEPT' })], inner: [rule({ name: 'RETURN' })] })
      t.match(await h1.ping(a2, { timeout: BRIEFLY }), { received: 0, errors: [] })
      await counted(t, nf, netns, 'filter', 'FORWARD', [1, 0])
      await setRules(nf, 'filter', { FORWARD: ['DROP', rule({ jump: 'inner' }), { target: { name: 'ACCEPT' } }], inner: [rule({ name: 'RETURN' })] })
      t.match(await h1.ping(a2, { timeout: PATIENCE }), { received: 1 })
      await counted(t, nf, netns, 'filter', 'inner', [1])
      await setRules(nf, 'filter', { FORWARD: ['DROP', rule({ name: 'RETURN' }), rule({ name: 'ACCEPT' })] })
      t.match(await h1.ping(a2, { timeout: BRIEFLY }), { received: 0 })
      await counted(t, nf, netns, 'filter', 'FORWARD', [1, 0])
    })

    await t.test('REJECT of every kind', async (t) => {
      const headers = family === 'ipv4' ? 28 : 48
      const rules = REJECTS[family].map(([how], i): NetfilterRule => {
        const { protocol, matches } = echo(family)
        return { protocol: protocol!, matches: [...matches!, { name: 'length', length: [headers + i, headers + i] }], target: { name: 'REJECT', ...(how === undefined ? {} : { with: how }) } }
      })
      await setRules(nf, 'filter', { FORWARD: [...rules, { ...tcp(1010), target: { name: 'REJECT', with: 'tcp-reset' } }, { ...udp(1011), target: { name: 'REJECT' } }], INPUT: [{ ...tcp(1010), target: { name: 'REJECT', with: 'tcp-reset' } }] })
      for (const [size, [, reason]] of REJECTS[family].entries()) t.same(reasons(await h1.ping(a2, { size, timeout: PATIENCE })), [0, `${reason} ${r1}`])
      t.match(await h1.ping(a2, { size: 50, timeout: PATIENCE }), { received: 1 })
      const resets = h1.capture('eth0', { direction: 'in', filter: ({ packet }) => packet?.tcp?.sourcePort === 1010 })
      t.match(await lab.flow({ from: h1, to: h2, port: 1010, timeout: PATIENCE }), { outcome: 'refused', code: 'ECONNREFUSED' })
      const [reset] = await framesOf(resets, 1)
      t.match(reset!.packet!.tcp, { flags: ['rst', 'ack'], sourcePort: 1010 })
      t.equal((reset!.packet!.ipv4 ?? reset!.packet!.ipv6)!.source, a2, 'in the name of the receiver')
      t.match(await lab.flow({ from: h1, to: router, address: r1, port: 1010, timeout: PATIENCE }), { outcome: 'refused' })
      t.match(await lab.flow({ from: h1, to: h2, protocol: 'udp', bytes: 100, port: 1011, timeout: PATIENCE }), { outcome: 'refused' })
      await counted(t, nf, netns, 'filter', 'FORWARD', [...REJECTS[family].map(() => 1), 1, 1])
      await counted(t, nf, netns, 'filter', 'INPUT', [1])
    })

    await t.test('MARK, for a match and for a policy route', async (t) => {
      await setRules(nf, 'filter', { FORWARD: [{ matches: [{ name: 'mark', mark: 7 }], outInterface: 'eth2' }, { matches: [{ name: 'mark', mark: { value: 8, mask: 0xff } }], target: { name: 'DROP' } }, { ...udp(1020), outInterface: 'eth1' }] })
      await setRules(nf, 'mangle', { PREROUTING: [{ ...udp(1020), target: { name: 'MARK', mark: 7 } }, { ...udp(1021), target: { name: 'MARK', mark: 0x308 } }] })
      Rule.add({ family, fwmark: 7, table: 100 }, { netns })
      router.addRoute({ destination: 'default', family, table: 100, gateway: a3 })
      const diverted = h3.capture('eth0', { direction: 'in', filter: ({ packet }) => packet?.udp?.destinationPort === 1020 })
      const at2 = receivers(h2, family, [1020, 1021, 1022])
      for (const port of [1020, 1021, 1022]) await sendTo(h1, a2, port, ['a', 'b'])
      t.same((await framesOf(diverted, 2)).map(({ packet }) => [(packet!.ipv4 ?? packet!.ipv6)!.destination, Buffer.from(packet!.udp!.payload).toString()]), [[a2, 'a'], [a2, 'b']])
      t.same([await at2.next(1022), await at2.next(1022)], ['a', 'b'])
      await counted(t, nf, netns, 'mangle', 'PREROUTING', [2, 2])
      await counted(t, nf, netns, 'filter', 'FORWARD', [2, 2, 0])
      t.same(at2.more(), [])
      await setRules(nf, 'mangle', {})
    })

    await t.test('LOG goes on, and so does NFLOG, whose copy comes', { skip: lacksTarget('NFLOG') }, async (t) => {
      await setRules(nf, 'filter', { FORWARD: [{ ...udp(1030), target: { name: 'LOG', prefix: 'nfkit ', level: 'debug' } }, { ...udp(1030), target: { name: 'NFLOG', group: 3, prefix: 'seen' } }, { ...udp(1030), target: { name: 'ACCEPT' } }] })
      const log = PacketLog.open(3, { netns })
      t.teardown(() => log.close())
      const at2 = receivers(h2, family, [1030])
      await sendTo(h1, a2, 1030, ['logged'])
      const { value } = await log.next()
      t.match(value, { type: 'packet', family, prefix: 'seen', hook: 'FORWARD', in: { name: 'eth0' }, out: { name: 'eth1' } })
      t.ok(value?.type === 'packet' && Buffer.from(value.payload).includes('logged'))
      t.equal(await at2.next(1030), 'logged')
      await counted(t, nf, netns, 'filter', 'FORWARD', [1, 1, 1])
    })

    await t.test('NFQUEUE: a program decides', { skip: lacksTarget('NFQUEUE') }, async (t) => {
      await setRules(nf, 'filter', { FORWARD: [{ ...udp(1040), target: { name: 'NFQUEUE', queue: 4 } }, { ...udp(1041), target: { name: 'NFQUEUE', queue: 9, bypass: true } }, udp(1041)] })
      const queue = PacketQueue.open(4, { netns })
      t.teardown(() => queue.close())
      const at2 = receivers(h2, family, [1040, 1041])
      await sendTo(h1, a2, 1040, ['yes', 'no', 'yes too'])
      for (let i = 0; i < 3; i++) {
        const packet = (await queue.next()).value!
        if (Buffer.from(packet.payload).includes('no')) packet.drop()
        else packet.accept()
      }
      t.same([await at2.next(1040), await at2.next(1040)], ['yes', 'yes too'])
      await sendTo(h1, a2, 1041, ['nobody listens'])
      t.equal(await at2.next(1041), 'nobody listens')
      // Where nobody listens, bypass accepts: the next rule never sees it.
      await counted(t, nf, netns, 'filter', 'FORWARD', [3, 1, 0])
      t.same(at2.more(), [])
    })

    await t.test('TEE: h3 has a copy', async (t) => {
      await setRules(nf, 'filter', {})
      await setRules(nf, 'mangle', { PREROUTING: [{ ...udp(1050), target: { name: 'TEE', gateway: a3 } }, udp(1050)] })
      const copies = h3.capture('eth0', { direction: 'in', filter: ({ packet }) => packet?.udp?.destinationPort === 1050 })
      const at2 = receivers(h2, family, [1050])
      await sendTo(h1, a2, 1050, ['one', 'two'])
      t.same([await at2.next(1050), await at2.next(1050)], ['one', 'two'])
      t.same((await framesOf(copies, 2)).map(({ packet }) => [(packet!.ipv4 ?? packet!.ipv6)!.destination, Buffer.from(packet!.udp!.payload).toString()]), [[a2, 'one'], [a2, 'two']])
      await counted(t, nf, netns, 'mangle', 'PREROUTING', [2, 2])
      await setRules(nf, 'mangle', {})
    })

    await t.test('TCPMSS: a number, and the MTU of the path', async (t) => {
      await setRules(nf, 'mangle', {
        FORWARD: [
          { protocol: 'tcp', inInterface: 'eth0', matches: [...tcp(1060).matches!, SYN], target: { name: 'TCPMSS', mss: 900 } }, { protocol: 'tcp', inInterface: 'eth0', matches: [...tcp(1061).matches!, SYN], target: { name: 'TCPMSS', clampToPathMtu: true } },
        ],
      })
      await router.run('ip', ['link', 'set', 'eth1', 'mtu', '1300'])
      const headers = family === 'ipv4' ? 40 : 60
      for (const [port, mss] of [[1060, 900], [1061, 1300 - headers], [1062, 1500 - headers]] as const) {
        const syns = h2.capture('eth0', { direction: 'in', filter: ({ packet }) => packet?.tcp?.destinationPort === port && packet.tcp.flags.includes('syn') })
        t.match(await lab.flow({ from: h1, to: h2, port, bytes: 10, timeout: PATIENCE }), { outcome: 'completed' })
        const { options } = (await framesOf(syns, 1))[0]!.packet!.tcp!
        t.same([...options.subarray(0, 4)], [2, 4, mss >> 8, mss & 255], `port ${port}`)
      }
      await counted(t, nf, netns, 'mangle', 'FORWARD', [1, 1])
      await router.run('ip', ['link', 'set', 'eth1', 'mtu', '1500'])
      await setRules(nf, 'mangle', {})
    })

    await t.test('CT: packets without a connection', async (t) => {
      await setRules(nf, 'raw', { PREROUTING: [{ ...udp(1070), target: { name: 'CT', notrack: true } }] })
      const state = (port: number, states: ('UNTRACKED' | 'NEW')[]): NetfilterRule => ({ protocol: 'udp', matches: [...udp(port).matches!, { name: 'conntrack', states }] })
      await setRules(nf, 'filter', { FORWARD: [state(1070, ['UNTRACKED']), state(1070, ['NEW']), state(1071, ['UNTRACKED']), state(1071, ['NEW'])] })
      const at2 = receivers(h2, family, [1070, 1071])
      for (const port of [1070, 1071]) {
        await sendTo(h1, a2, port, ['a', 'b'])
        t.same([await at2.next(port), await at2.next(port)], ['a', 'b'])
      }
      await counted(t, nf, netns, 'raw', 'PREROUTING', [2])
      await counted(t, nf, netns, 'filter', 'FORWARD', [2, 0, 0, 2])
      await setRules(nf, 'raw', {})
    })

    await t.test('matches that remember or look inside: connlimit, limit, string, u32', async (t) => {
      const drop = { name: 'DROP' } as const
      // The first word of the payload behind the UDP header.
      const word = family === 'ipv4' ? [{ offset: 0, steps: [{ operator: '>>', operand: 22 }, { operator: '&', operand: 0x3c }, { operator: '@', operand: 8 }] }] : [{ offset: 48 }]
      await setRules(nf, 'filter', {
        FORWARD: [
          { protocol: 'tcp', matches: [...tcp(1080).matches!, SYN, { name: 'connlimit', above: 2 }], target: { name: 'REJECT', with: 'tcp-reset' } },
          // The kernel's bucket holds the tokens of a day at most.
          { protocol: 'udp', matches: [...udp(1081).matches!, { name: 'limit', rate: '1/hour', burst: 3 }], target: { name: 'ACCEPT' } }, { ...udp(1081), target: drop },
          { protocol: 'udp', matches: [...udp(1082).matches!, { name: 'string', pattern: 'secret', algorithm: 'bm' }], target: drop },
          { protocol: 'udp', matches: [...udp(1083).matches!, { name: 'u32', tests: [{ ...word[0], values: [[0x64726f70, 0x64726f70]] }] as never }], target: drop },
        ],
      })
      const listener = h2.listen({ port: 1080, address: family === 'ipv4' ? '0.0.0.0' : '::', serve: 'echo' })
      for (let i = 0; i < 2; i++) await h1.connect({ address: a2, port: 1080, timeout: PATIENCE })
      await t.rejects(h1.connect({ address: a2, port: 1080, timeout: PATIENCE }), { code: 'ECONNREFUSED' })
      listener.close()
      const at2 = receivers(h2, family, [1081, 1082, 1083])
      await sendTo(h1, a2, 1081, ['1', '2', '3', '4', '5'])
      t.same([await at2.next(1081), await at2.next(1081), await at2.next(1081)], ['1', '2', '3'])
      await sendTo(h1, a2, 1082, ['a secret word', 'a public word'])
      t.equal(await at2.next(1082), 'a public word')
      await sendTo(h1, a2, 1083, ['drop me', 'keep me'])
      t.equal(await at2.next(1083), 'keep me')
      await counted(t, nf, netns, 'filter', 'FORWARD', [1, 3, 2, 1, 1])
      t.same(at2.more(), [])
      await setRules(nf, 'filter', {})
    })
  })

  t.test(`${family}: address translation`, { skip: noTables }, async (t) => {
    const { router, h1, h2, h3, nf, a1, a2, a3, r1, r2 } = await network(t, family)
    const { netns } = router
    const other = at[family](2, 77)
    const anywhere = family === 'ipv4' ? '0.0.0.0' : '::'
    const port = (number: number): [number, number] => [number, number]

    await t.test('DNAT and REDIRECT: the connection ends elsewhere, and nobody who made it knows', async (t) => {
      await setRules(nf, 'nat', { PREROUTING: [{ ...tcp(1100), destination: a2, target: { name: 'DNAT', to: { addresses: [a3, a3], ports: port(1200) } } }, { ...tcp(1101), target: { name: 'REDIRECT', ports: port(1201) } }, { ...udp(1102), target: { name: 'DNAT', to: { addresses: [a3, a3] } } }] })
      await setRules(nf, 'filter', { FORWARD: [{ matches: [{ name: 'conntrack', states: ['DNAT'] }], protocol: 'tcp', inInterface: 'eth0', destination: a3 }] })
      for (const [host, to, listens] of [[h3, 1100, 1200], [router, 1101, 1201]] as const) {
        const listener = host.listen({ port: listens, address: anywhere })
        const connection = await h1.connect({ address: a2, port: to, timeout: PATIENCE })
        const served = await listener.accept({ timeout: PATIENCE })
        t.match([connection.remote, served.remote, served.local], [{ address: a2, port: to }, { address: a1 }, { address: host === h3 ? a3 : r1, port: listens }])
        await served.write('from elsewhere')
        served.end()
        t.equal(Buffer.from(await connection.readAll({ timeout: PATIENCE })).toString(), 'from elsewhere')
        connection.close()
        listener.close()
      }
      const at3 = receivers(h3, family, [1102])
      await sendTo(h1, a2, 1102, ['a', 'b'])
      t.same([await at3.next(1102), await at3.next(1102)], ['a', 'b'])
      // Only the first packet of a connection meets the table.
      await counted(t, nf, netns, 'nat', 'PREROUTING', [1, 1, 1])
      t.ok(nf.table('filter').chain('FORWARD').rule(1).counters.packets > 1, 'the others come translated')
    })

    await t.test('SNAT and MASQUERADE: who it comes from', async (t) => {
      router.addAddress('eth1', `${other}/${family === 'ipv4' ? 24 : 64}`)
      await setRules(nf, 'nat', {
        POSTROUTING: [
          { ...udp(1110), outInterface: 'eth1', target: { name: 'SNAT', to: { addresses: [other, other], ports: port(1210) } } }, { ...udp(1111), outInterface: 'eth1', target: { name: 'MASQUERADE' } },
          { ...udp(1112), outInterface: 'eth2', target: { name: 'MASQUERADE' } },
        ],
      })
      const at2 = receivers(h2, family, [1110, 1111, 1112])
      for (const number of [1110, 1111, 1112]) await sendTo(h1, a2, number, ['x'])
      t.match(await at2.from(1110), { address: other, port: 1210 })
      t.match(await at2.from(1111), { address: family === 'ipv4' ? r2 : new RegExp(`^(${r2}|${other})$`) })
      t.match(await at2.from(1112), { address: a1 })
      await counted(t, nf, netns, 'nat', 'POSTROUTING', [1, 1, 0])
      // And the answer finds its way back.
      const echoing = h2.listen({ protocol: 'udp', port: 1113, address: anywhere, serve: 'echo' })
      await setRules(nf, 'nat', { POSTROUTING: [{ ...udp(1113), outInterface: 'eth1', target: { name: 'SNAT', to: { addresses: [other, other] } } }] })
      const socket = await h1.connect({ protocol: 'udp', address: a2, port: 1113 })
      await socket.send('there and back')
      t.equal(Buffer.from((await socket.receive({ timeout: PATIENCE })).data).toString(), 'there and back')
      echoing.close()
      await counted(t, nf, netns, 'nat', 'POSTROUTING', [1])
    })
  })
}
