// SPDX-License-Identifier: MIT

import type { Test } from 'tap'
import { type Host, type HostOptions, Lab } from '../../lib/lab/index.js'
import { run } from './outside.js'

/** Two hosts with a wire between them: h1 is 192.168.0.1 and fd00::1, h2 is 192.168.0.2 and fd00::2; eth0 each. */
export async function twoHosts(t: Test, options: HostOptions = {}): Promise<{ lab: Lab; h1: Host; h2: Host }> {
  const lab = await Lab.create()
  t.teardown(() => lab.close())
  const h1 = lab.host('h1', options)
  const h2 = lab.host('h2', options)
  lab.wire(
    { host: h1, addresses: ['192.168.0.1/24', ...(options.ipv6 === false ? [] : ['fd00::1/64'])] },
    { host: h2, addresses: ['192.168.0.2/24', ...(options.ipv6 === false ? [] : ['fd00::2/64'])] },
  )
  return { lab, h1, h2 }
}

/** A rule of iptables, from outside: `filter(h2, 'ipv4', '-A INPUT -p icmp -j DROP')`. */
export function filter(host: Host, family: 'ipv4' | 'ipv6', rule: string): void {
  run(host.netns, family === 'ipv4' ? 'iptables-legacy' : 'ip6tables-legacy', '-w', ...rule.split(' '))
}

/** A counter of /proc/net/snmp, for example `Icmp InEchos`. */
export function snmp(host: Host, protocol: string, name: string): number {
  const lines = run(host.netns, 'cat', '/proc/net/snmp').split('\n').filter((line) => line.startsWith(`${protocol}: `)).map((line) => line.split(' '))
  return Number(lines[1]![lines[0]!.indexOf(name)])
}

/** A counter of /proc/net/snmp6, for example `Icmp6InEchos`. */
export function snmp6(host: Host, name: string): number {
  const line = run(host.netns, 'cat', '/proc/net/snmp6').split('\n').find((text) => text.startsWith(`${name} `) || text.startsWith(`${name}\t`))
  return Number(line!.trim().split(/\s+/)[1])
}

/** The kernel finds out within a fifth of a second that nobody answers to ARP or neighbour solicitations, in place of three. */
export function impatient(host: Host, device: string): void {
  for (const cache of ['arp_cache', 'ndisc_cache']) run(host.netns, 'ip', 'ntable', 'change', 'name', cache, 'dev', device, 'retrans', '60')
}
