// SPDX-License-Identifier: MIT
// Which network namespace this is, in words that still mean the same one later.

import { readFileSync, statSync } from 'node:fs'
import { Errno } from '../errno.js'
import { addon, check, checkDescriptor } from '../native.js'
import type { Netns } from '../netns.js'

/** A network namespace for as long as the machine runs. */
export interface NamespaceIdentity {
  /** Of its file in nsfs (namespaces(7)). The kernel gives the number to another one later. */
  device: number
  inode: number
  /** SO_NETNS_COOKIE, which no other namespace gets until the next boot; null before Linux 5.14. */
  cookie: string | null
  /** /proc/sys/kernel/random/boot_id: a namespace does not outlive its boot, a file can. */
  boot: string
}

const SOL_SOCKET = 1
const SO_NETNS_COOKIE = 71
const AF_UNIX = 1
const SOCK_DGRAM = 2

/** The namespace given, or this process's own. */
export function identify(netns: Netns | undefined): NamespaceIdentity {
  const { dev, ino } = statSync(netns === undefined ? '/proc/thread-self/ns/net' : netns.path)
  return { device: dev, inode: ino, cookie: cookieOf(netns), boot: bootId() }
}

export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/** Whether two identities are of the same namespace, as far as both tell. */
export function sameNamespace(a: NamespaceIdentity, b: NamespaceIdentity): boolean {
  return a.boot === b.boot && a.device === b.device && a.inode === b.inode && (a.cookie === b.cookie || a.cookie === null || b.cookie === null)
}

function cookieOf(netns: Netns | undefined): string | null {
  const socket = checkDescriptor(addon.socket(AF_UNIX, SOCK_DGRAM, 0, netns?.fd ?? -1), 'socket')
  try {
    const value = new Uint8Array(8)
    const result = socket.getOption(SOL_SOCKET, SO_NETNS_COOKIE, value)
    if (result === -Errno.ENOPROTOOPT) return null
    check(result, 'getsockopt', 'SO_NETNS_COOKIE')
    return String(new DataView(value.buffer).getBigUint64(0, true))
  } finally {
    socket.close()
  }
}
