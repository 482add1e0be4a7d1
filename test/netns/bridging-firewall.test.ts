// SPDX-License-Identifier: MIT
// The paper's bridging firewall: hosts at a bridge whose frames pass iptables, rules of nfkit, looked at from outside.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Bridge, Netfilter, type NetfilterRule, Netns } from '../../lib/index.js'
import { type Host, Lab } from '../../lib/lab/index.js'
import { feed, run, tryRun } from '../support/outside.js'
import { BRIEFLY, counted, framesOf, listed, noTables, PATIENCE, reasons, setRules } from '../support/packet-rules.js'
import { type Family, FAMILIES } from '../support/queue.js'

const directory = mkdtempSync(join(tmpdir(), 'nfkit-'))
process.env['XTABLES_LOCKFILE'] = join(directory, 'lock')
t.teardown(() => rmSync(directory, { recursive: true }))

const skip = noTables !== false ? noTables : (() => {
  const netns = Netns.create()
  try {
    return tryRun(netns, 'test', '-e', '/proc/sys/net/bridge/bridge-nf-call-iptables').status === 0 ? false : 'br_netfilter is not loaded here'
  } finally {
    netns.close()
  }
})()

const address = { ipv4: (n: number) => `192.168.0.${n}`, ipv6: (n: number) => `fd00::${n}` } as const
const PROHIBITED = {
  ipv4: { with: 'icmp-host-prohibited', reason: `host-prohibited 3/10 ${address.ipv4(1)}` }, ipv6: { with: 'icmp6-adm-prohibited', reason: `administratively-prohibited 1/1 ${address.ipv6(1)}` },
} as const

/** A bridge with hosts 2 to 5 at its ports eth2 to eth5; it is number 1 itself. */
async function network(t: Test, family: Family): Promise<{ lab: Lab; box: Host; bridge: Bridge; host: (n: number) => Host; nf: Netfilter }> {
  const lab = await Lab.create()
  t.teardown(() => lab.close())
  const ipv6 = family === 'ipv6'
  const box = lab.box('box', { ipv6 })
  const bridge = box.bridge('br0')
  for (const n of [2, 3, 4, 5]) {
    lab.wire({ host: lab.host(`host${n}`, { ipv6 }), name: 'eth0', addresses: [`${address[family](n)}/${ipv6 ? 64 : 24}`] }, { host: box, name: `eth${n}` })
    bridge.addPort(`eth${n}`, { addresses: 'drop' })
  }
  box.addAddress('br0', `${address[family](1)}/${ipv6 ? 64 : 24}`)
  const nf = Netfilter.open({ netns: box.netns, family })
  t.teardown(() => nf.close())
  bridge.netfilter.setNamespace({ callIptables: false, callIp6tables: false })
  return { lab, box, bridge, host: (n) => lab.find(`host${n}`), nf }
}

for (const family of FAMILIES) {
  const [a1, a2, a3, a5] = [1, 2, 3, 5].map(address[family]) as [string, string, string, string]
  const { reason } = PROHIBITED[family]
  const prohibited = { name: 'REJECT', with: PROHIBITED[family].with } as const
  const echo: NetfilterRule = family === 'ipv4' ? { protocol: 'icmp', matches: [{ name: 'icmp', type: 'echo-request' }] } : { protocol: 'ipv6-icmp', matches: [{ name: 'icmp6', type: 'echo-request' }] }
  const web = (port: number): NetfilterRule => ({ protocol: 'tcp', matches: [{ name: 'tcp', destinationPorts: [port, port] }] })
  /** Of pings through the bridge, by port. */
  const physdev = (ports: { in?: string | { not: string }; out?: string }, target: NetfilterRule['target']): NetfilterRule => ({ ...echo, matches: [...echo.matches!, { name: 'physdev', ...ports, isBridged: true }], target: target! })

  t.test(`${family}: a bridging firewall`, { skip }, async (t) => {
    const { lab, box, bridge, host, nf } = await network(t, family)
    const { netns } = box
    const pinged = async (from: number, to: string, { count = 1, timeout = PATIENCE } = {}) => reasons(await host(from).ping(to, { count, interval: 5, timeout }))
    const connected = async (from: number, to: number, port: number) => (await lab.flow({ from: host(from), to: host(to), port, bytes: 1000, timeout: PATIENCE })).outcome

    await t.test('a host may not ping, through the bridge or the bridge itself', async (t) => {
      const refused: NetfilterRule = { ...echo, source: a3, target: prohibited }
      await setRules(nf, 'filter', { FORWARD: [refused], INPUT: [refused] })
      t.same(await pinged(3, a5), [1], 'frames do not pass the tables yet')
      t.same(await pinged(3, a1), [0, reason], 'what is for the bridge itself does')
      await counted(t, nf, netns, 'filter', 'FORWARD', [0])
      bridge.netfilter.set(family === 'ipv4' ? { callIptables: true } : { callIp6tables: true })
      t.same(await pinged(3, a5, { count: 2 }), [0, reason, reason])
      t.same(await pinged(3, a1), [0, reason])
      t.same(await pinged(2, a5), [1], 'others may')
      t.same(await pinged(2, a1), [1])
      t.same(await pinged(5, a3), [1], 'and he may be pinged')
      await counted(t, nf, netns, 'filter', 'FORWARD', [2])
      await counted(t, nf, netns, 'filter', 'INPUT', [2])
    })

    await t.test('no port 80 of host 5 for host 3', async (t) => {
      await setRules(nf, 'filter', { FORWARD: [{ ...web(80), source: a3, destination: a5, target: { name: 'REJECT', with: 'tcp-reset' } }] })
      const resets = host(3).capture('eth0', { direction: 'in', filter: ({ packet }) => packet?.tcp?.sourcePort === 80 })
      t.equal(await connected(3, 5, 80), 'refused')
      const [reset] = await framesOf(resets, 1)
      t.match(reset!.packet!.tcp, { flags: ['rst', 'ack'] })
      t.equal((reset!.packet!.ipv4 ?? reset!.packet!.ipv6)!.source, a5, 'as if it were host 5')
      t.equal(await connected(3, 5, 81), 'completed')
      t.equal(await connected(3, 4, 80), 'completed')
      t.equal(await connected(2, 5, 80), 'completed')
      await counted(t, nf, netns, 'filter', 'FORWARD', [1])
    })

    await t.test('by the port of the bridge, whatever the address', async (t) => {
      await setRules(nf, 'filter', { FORWARD: [physdev({ in: 'eth4', out: 'eth5' }, prohibited), physdev({ out: 'eth5' }, { jump: 'to5' }), physdev({ in: 'eth+' }, { name: 'ACCEPT' })], to5: [physdev({ in: 'eth2' }, { name: 'DROP' }), physdev({ in: { not: 'eth2' } }, { name: 'RETURN' })] })
      t.same(await pinged(4, a5), [0, reason])
      t.same(await pinged(4, a2), [1])
      t.same(await pinged(2, a5, { timeout: BRIEFLY }), [0])
      t.same(await pinged(3, a5), [1])
      t.same(await pinged(4, a1), [1], 'the bridge itself is no port')
      await counted(t, nf, netns, 'filter', 'FORWARD', [1, 2, 2])
      await counted(t, nf, netns, 'filter', 'to5', [1, 1])
    })

    await t.test('saved with counters, and restored beside what is there', async (t) => {
      await setRules(nf, 'filter', { FORWARD: [{ ...echo, source: a3, target: prohibited }, { ...web(80), source: a3, destination: a5, target: { name: 'REJECT', with: 'tcp-reset' } }] })
      t.same(await pinged(3, a5, { count: 3 }), [0, reason, reason, reason])
      t.equal(await connected(3, 5, 80), 'refused')
      await counted(t, nf, netns, 'filter', 'FORWARD', [3, 1])
      const saved = await nf.save({ counters: true, tables: ['filter'] })
      await nf.update('filter', (table) => { table.flush(); table.chain('FORWARD').append({ ...echo, source: a2, target: prohibited }) })
      t.same(await pinged(3, a5), [1])
      t.same(await pinged(2, a5), [0, reason])
      await nf.restore(saved, { counters: true, flush: false })
      await counted(t, nf, netns, 'filter', 'FORWARD', [1, 3, 1])
      t.same(await pinged(3, a5), [0, reason])
      t.same(await pinged(2, a5), [0, reason])
      await counted(t, nf, netns, 'filter', 'FORWARD', [2, 4, 1])
      // And as iptables-legacy-restore does it, from the same text.
      await nf.update('filter', (table) => { table.flush() })
      feed(netns, saved, family === 'ipv4' ? 'iptables-legacy-restore' : 'ip6tables-legacy-restore', '-c', '-n')
      await counted(t, nf, netns, 'filter', 'FORWARD', [3, 1])
    })

    await t.test('a policy of DROP, but for one port', async (t) => {
      await setRules(nf, 'filter', { FORWARD: ['DROP', physdev({ in: 'eth2' }, { name: 'ACCEPT' }), { matches: [{ name: 'conntrack', states: ['ESTABLISHED'] }], target: { name: 'ACCEPT' } }] })
      const before = host(5).statistics('eth0').rxPackets
      if (family === 'ipv4') {
        t.same(await pinged(2, a5), [1])
        t.same(await pinged(3, a5, { count: 2, timeout: BRIEFLY }), [0])
        t.equal((await lab.flow({ from: host(2), to: host(5), port: 80, timeout: 300 })).outcome, 'timed-out')
        t.same(await pinged(3, a1), [1], 'the bridge itself is reached')
        await counted(t, nf, netns, 'filter', 'FORWARD', [1, 1])
        t.ok(listed(netns, family, 'filter', 'FORWARD')[2]! >= 3, 'the policy counts')
        t.ok(host(5).statistics('eth0').rxPackets > before, 'ARP and what is accepted')
      } else {
        // Neighbour discovery is IPv6, too: with this policy it has no way through.
        run(host(3).netns, 'ip', '-6', 'neigh', 'flush', 'all')
        t.same(await pinged(3, a5, { timeout: BRIEFLY }), [0])
        t.ok(listed(netns, family, 'filter', 'FORWARD')[2]! >= 1, 'the policy counts')
        await nf.update('filter', (table) => { for (const type of ['neighbour-solicitation', 'neighbour-advertisement'] as const) table.chain('FORWARD').append({ protocol: 'ipv6-icmp', matches: [{ name: 'icmp6', type }], target: { name: 'ACCEPT' } }) })
        t.same(await pinged(2, a5), [1])
        t.same(await pinged(3, a5, { timeout: BRIEFLY }), [0])
      }
    })
  })
}
