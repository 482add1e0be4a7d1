// SPDX-License-Identifier: MIT
// Waiting for what the kernel does in the background when an interface comes up.

import { Errno } from '../errno.js'
import { NfkitError } from '../errors.js'
import * as Link from '../net/link.js'
import type { Netns } from '../netns.js'
import { parseIp } from '../wire/ip.js'
import { parseMac } from '../wire/mac.js'

/**
 * Milliseconds: usually it is one or two, and the kernel puts off what is not urgent by up to a second (net/core/link_watch.c). What is
 * not ready by then does not wait for the kernel's background work.
 */
const PATIENCE = 3000

const pause = new Int32Array(new SharedArrayBuffer(4))

function waitUntil(ready: () => boolean): void {
  for (const end = performance.now() + PATIENCE; !ready() && performance.now() < end;) Atomics.wait(pause, 0, 0, 1)
}

/** Waits until a link is up with its carrier: a bridge port forwards nothing before (linkwatch, net/core/link_watch.c). */
export function waitUntilUp(netns: Netns, link: number): void {
  waitUntil(() => Link.get(link, { netns }).operationalState === 'up')
}

/**
 * Waits until the kernel listens for solicitations of IPv6 addresses. It joins the multicast group for that some time after it has
 * taken the address (addrconf_dad_work, net/ipv6/addrconf.c); a solicitation that comes before is lost, and the next one comes a
 * second later.
 * @param addresses with or without a prefix length
 * @param mac wait for the link-local address that the kernel makes of it, too
 */
export function waitUntilFound(netns: Netns, device: string, addresses: readonly string[], mac?: string): void {
  const wanted = addresses.map((address) => solicited(parseIp(address.replace(/\/.*/, ''), 'address', 'ipv6')))
  if (mac !== undefined) wanted.push(solicited(parseMac(mac)))
  waitUntil(() => {
    const groups = groupsOf(netns, device)
    return groups === undefined || wanted.every((group) => groups.some((joined) => joined.endsWith(group)))
  })
}

/** The end of the solicited-node multicast address of an IPv6 address (RFC 4291 section 2.7.1), or of the link-local one of a MAC. */
function solicited(bytes: Uint8Array): string {
  return `ff${Buffer.from(bytes.subarray(bytes.length - 3)).toString('hex')}`
}

/** The multicast groups of an interface in hexadecimal; undefined without IPv6. */
function groupsOf(netns: Netns, device: string): string[] | undefined {
  try {
    const lines = netns.readProc('igmp6').split('\n').map((line) => line.trim().split(/\s+/))
    return lines.filter(([, name]) => name === device).map(([, , group = '']) => group)
  } catch (error) {
    if (error instanceof NfkitError && error.errno === Errno.ENOENT) return undefined
    throw error
  }
}
