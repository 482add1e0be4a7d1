// SPDX-License-Identifier: MIT
// The second act: the bridge becomes a firewall, as in the paper. Its packets pass the tables of iptables.

import { Netfilter, NfkitError } from 'nfkit'
import type { Host } from 'nfkit/lab'
import { type Act, ADDRESS, type Network } from './network.js'
import type { Cell, Printer } from './print.js'

export const firewall: Act = {
  title: 'A bridging firewall',
  async run(network, out) {
    if (!switchOn(network, out)) return
    using nf = Netfilter.open({ netns: network.box.netns, lock: 'off' })
    await refusePings(network, nf, out)
    await refuseWeb(network, nf, out)
    await byPort(network, nf, out)
    await saveAndRestore(network, nf, out)
    nf.updateSync('filter', (table) => { for (const name of table.chains) table.chain(name).flush() })
  },
}

const THIS_BRIDGE = ADDRESS.replace(/\/.*/, '')

/** Answers whether this kernel can. */
function switchOn({ bridge }: Network, out: Printer): boolean {
  out.section('What the bridge forwards passes iptables')
  try {
    bridge.netfilter.set({ callIptables: true })
  } catch (error) {
    if (!(error instanceof NfkitError) || error.code !== 'NFKIT_BR_NETFILTER_MISSING') throw error
    out.note(`not on this kernel: ${error.message}`)
    return false
  }
  out.line('   bridge.netfilter.set({ callIptables: true })')
  return true
}

async function pinged(from: Host, to: Host | string, out: Printer): Promise<void> {
  const { received, sent, errors } = await from.ping(to, { count: 2, interval: 10, timeout: 500 })
  const refusal = errors[0]
  const outcome = received === sent
    ? out.paint('green', `${received} of ${sent} replies`)
    : out.paint('red', `${received} of ${sent} replies`) + (refusal?.kind === 'icmp' ? `, ${refusal.from} says ${refusal.reason}` : '')
  const name = typeof to === 'string' ? `${to} (the bridge itself)` : `${to.name} at ${to.address()}`
  out.line(`   ${from.name} pings ${name}: ${outcome}`)
}

async function connected({ lab }: Network, from: Host, to: Host, port: number, out: Printer): Promise<void> {
  const { outcome, code } = await lab.flow({ from, to, protocol: 'tcp', bytes: 1000, port })
  const text = outcome === 'completed' ? out.paint('green', outcome) : out.paint('red', `${outcome}${code === undefined ? '' : ` (${code})`}`)
  out.line(`   ${from.name} connects to ${to.name}, tcp port ${port}: ${text}`)
}

/** The rules of the filter table with what they counted. */
function rules(nf: Netfilter, out: Printer): void {
  const rows = nf.table('filter').chains.flatMap((chain) => chain.rules.map((rule, i): Cell[] => [
    [chain.name, 'cyan'], String(rule.counters.packets), String(rule.counters.bytes), chain.format(i + 1),
  ]))
  out.line()
  out.table([{ title: 'CHAIN' }, { title: 'PACKETS', align: 'right' }, { title: 'BYTES', align: 'right' }, { title: 'RULE' }], rows)
}

async function refusePings({ hosts }: Network, nf: Netfilter, out: Printer): Promise<void> {
  const [a, b, , d] = hosts as [Host, Host, Host, Host]
  out.section(`${b.name}'s pings are refused, through the bridge and to the bridge`)
  await pinged(b, d, out)
  await pinged(b, THIS_BRIDGE, out)
  await nf.update('filter', (table) => {
    const rule = { protocol: 'icmp', source: b.address(), target: { name: 'REJECT', with: 'icmp-host-prohibited' } } as const
    table.chain('FORWARD').append(rule)
    table.chain('INPUT').append(rule)
  })
  out.note('two rules, in one atomic step')
  await pinged(b, d, out)
  await pinged(b, THIS_BRIDGE, out)
  await pinged(a, d, out)
  rules(nf, out)
}

async function refuseWeb(network: Network, nf: Netfilter, out: Printer): Promise<void> {
  const [a, b, , d] = network.hosts as [Host, Host, Host, Host]
  out.section(`No web for ${b.name}`)
  await connected(network, b, d, 80, out)
  await nf.update('filter', (table) => {
    table.chain('FORWARD').append({
      protocol: 'tcp', source: b.address(), destination: d.address(),
      matches: [{ name: 'tcp', destinationPorts: [80, 80] }],
      target: { name: 'REJECT', with: 'tcp-reset' },
    })
  })
  await connected(network, b, d, 80, out)
  await connected(network, b, d, 81, out)
  await connected(network, a, d, 80, out)
}

async function byPort({ hosts }: Network, nf: Netfilter, out: Printer): Promise<void> {
  const [a, , c, d] = hosts as [Host, Host, Host, Host]
  out.section('By the port of the bridge, whatever the address')
  await nf.update('filter', (table) => table.chain('FORWARD').insert('-p icmp -m physdev --physdev-in eth2 --physdev-out eth3 -j REJECT'))
  out.line('   -p icmp -m physdev --physdev-in eth2 --physdev-out eth3 -j REJECT')
  await pinged(c, d, out)
  await pinged(c, a, out)
}

async function saveAndRestore({ hosts }: Network, nf: Netfilter, out: Printer): Promise<void> {
  const [, b, , d] = hosts as [Host, Host, Host, Host]
  out.section('Saved with counters, and restored beside what is there')
  const saved = await nf.save({ counters: true, tables: ['filter'] })
  for (const line of saved.trimEnd().split('\n')) if (!line.startsWith('#')) out.line(`   ${line}`)
  await nf.update('filter', (table) => { for (const name of table.chains) table.chain(name).flush() })
  out.note('all rules taken out, and the text given back without flushing')
  await pinged(b, d, out)
  await nf.restore(saved, { counters: true, flush: false })
  await pinged(b, d, out)
  rules(nf, out)
}
