// SPDX-License-Identifier: MIT
// Network namespaces (namespaces(7), network_namespaces(7)). The threads of this process never change theirs: what needs
// another namespace is opened there by a throw-away native thread.

import { constants, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { invalidArgument, NfkitError } from './errors.js'
import { Errno } from './errno.js'
import { addon, check, checkDescriptor, type RawDescriptor } from './native.js'

/** Where iproute2 keeps the named ones. */
const NAMED = '/run/netns'

const MS_BIND = 4096
const MS_REC = 16384
const MS_SHARED = 1 << 20
const MNT_DETACH = 2

const OPEN_HINTS: Readonly<Record<number, string>> = {
  [Errno.ENOENT]: `those with a name are in ${NAMED} ("ip netns add NAME" makes one, Netns.list() has them); a path has a slash`,
  [Errno.EACCES]: 'that of another user\'s process needs CAP_SYS_PTRACE: run as root',
}

/** A network namespace or the name of one in `/run/netns`; a string with a slash is a path, for example `/proc/17/ns/net`. */
export type NetnsLike = Netns | string

/**
 * An open network namespace. It exists as long as something holds it: this handle, a process in it, or its name.
 * Creating one needs CAP_SYS_ADMIN in the user namespace; opening one of another owner needs it there too.
 */
export class Netns {
  readonly #descriptor: RawDescriptor
  readonly #onClose = new Set<() => void>()
  /** The name in `/run/netns`, if it was opened or created by name. */
  readonly name: string | undefined

  private constructor(descriptor: RawDescriptor, name?: string) {
    this.#descriptor = descriptor
    this.name = name
  }

  /**
   * Creates a namespace with nothing in it but a loopback device that is down. With a name it is also bound to
   * `/run/netns/NAME`, as `ip netns add` does, and outlives this process; without, it ends with its last holder.
   * @throws NfkitError EPERM without CAP_SYS_ADMIN, EEXIST when the name is taken.
   */
  static create(name?: string): Netns {
    const path = name === undefined ? undefined : namedPath(name)
    const descriptor = checkDescriptor(addon.createNetns(), 'unshare', 'creating a network namespace')
    if (path === undefined) return new Netns(descriptor)
    try {
      bindName(descriptor.fd, path)
    } catch (error) {
      descriptor.close()
      throw error
    }
    return new Netns(descriptor, name)
  }

  /**
   * Opens an existing namespace: by name in `/run/netns`, by path (any string with a slash), or by the id of a process in it.
   * @throws NfkitError ENOENT when there is none, EINVAL when the path is no network namespace.
   */
  static open(which: string | number): Netns {
    if (typeof which === 'number') {
      if (!Number.isInteger(which) || which < 1) throw invalidArgument('netns', 'a process id', which)
      return Netns.#openPath(`/proc/${which}/ns/net`)
    }
    if (typeof which !== 'string' || which === '') throw invalidArgument('netns', 'a name, a path or a process id', which)
    return which.includes('/') ? Netns.#openPath(which) : Netns.#openPath(namedPath(which), which)
  }

  /** The namespace of this process. */
  static current(): Netns {
    return Netns.#openPath('/proc/thread-self/ns/net')
  }

  /** The names in `/run/netns`, sorted. */
  static list(): string[] {
    try {
      return readdirSync(NAMED).sort()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  }

  /**
   * Removes a name. The namespace itself goes when its last holder does, as with `ip netns delete`.
   * @throws NfkitError ENOENT when there is no such name.
   */
  static delete(name: string): void {
    const path = namedPath(name)
    const result = addon.unmount(path, MNT_DETACH)
    // EINVAL: the file is there but nothing is mounted on it, what a crash between the two steps leaves.
    if (result < 0 && result !== -Errno.EINVAL) check(result, 'umount2', `deleting network namespace ${name}`)
    rmSync(path)
  }

  static #openPath(path: string, name?: string): Netns {
    const descriptor = addon.open(path, constants.O_RDONLY, 0, -1)
    if (typeof descriptor === 'number') {
      const hint = OPEN_HINTS[-descriptor]
      throw NfkitError.fromErrno(-descriptor, 'open', `opening network namespace ${name ?? path}`, hint === undefined ? {} : { hint })
    }
    // Opening a socket in it is the one test that works for every kind of path.
    const probe = addon.socket(1, 2, 0, descriptor.fd)
    if (typeof probe === 'number') {
      descriptor.close()
      throw NfkitError.fromErrno(-probe, 'setns', `entering network namespace ${path}`,
        probe === -Errno.EPERM ? { hint: 'entering it needs CAP_SYS_ADMIN over its user namespace' } : {})
    }
    probe.close()
    return new Netns(descriptor, name)
  }

  /** The open descriptor, for `setns` or `/proc/PID/fd/N`; -1 once closed. */
  get fd(): number {
    return this.#descriptor.fd
  }

  /** A path by which other programs can enter it while this handle is open: `nsenter --net=PATH`. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.#openFd()}`
  }

  /**
   * Opens a file as a thread in this namespace sees it: `/proc/sys/net/...`, `/proc/thread-self/net/...`.
   * @internal
   */
  openFile(path: string, flags: number): RawDescriptor {
    return checkDescriptor(addon.open(path, flags, 0, this.#openFd()), 'open', path)
  }

  /**
   * Reads a network sysctl of this namespace, for example `net/ipv4/ip_forward`, without the final newline.
   * @throws NfkitError ENOENT when the kernel has no such setting in this namespace.
   */
  readSysctl(name: string): string {
    return readFile(this.#openFd(), sysctlPath(name))
  }

  /**
   * Writes a network sysctl of this namespace.
   * @throws NfkitError ENOENT, EACCES without privilege, EINVAL for a value that the kernel refuses.
   */
  writeSysctl(name: string, value: string | number): void {
    writeFile(this.#openFd(), sysctlPath(name), String(value))
  }

  /** Reads a file below `/proc/thread-self/net` as this namespace has it, for example `ip_tables_names`. */
  readProc(name: string): string {
    return readFile(this.#openFd(), `/proc/thread-self/net/${name}`)
  }

  /** Called once when this handle is closed: for what the library keeps for it. */
  onClose(callback: () => void): void {
    this.#onClose.add(callback)
  }

  #openFd(): number {
    const { fd } = this.#descriptor
    if (fd < 0) throw new NfkitError('NFKIT_CLOSED', 'the network namespace handle is closed')
    return fd
  }

  /** Lets go of the namespace, together with the sockets the library kept in it. Idempotent. */
  close(): void {
    for (const callback of this.#onClose) callback()
    this.#onClose.clear()
    this.#descriptor.close()
  }

  [Symbol.dispose](): void { this.close() }

  [inspect.custom](): string {
    return `Netns { ${this.name === undefined ? '' : `name: '${this.name}', `}fd: ${this.fd} }`
  }
}

/** The descriptor number of a namespace option: -1 for this process's own. Opened names are closed by `release`. */
export function resolveNetns(netns: NetnsLike | undefined): { fd: number; netns: Netns | undefined; release: () => void } {
  if (netns === undefined) return { fd: -1, netns: undefined, release: () => {} }
  if (netns instanceof Netns) {
    if (netns.fd < 0) throw new NfkitError('NFKIT_CLOSED', 'the network namespace handle is closed')
    return { fd: netns.fd, netns, release: () => {} }
  }
  const opened = openNetns(netns)
  return { fd: opened.fd, netns: opened, release: () => opened.close() }
}

/** A handle of its own for a namespace option. @throws TypeError also for a number, which is rather a descriptor's by mistake than a process id */
export function openNetns(netns: NetnsLike): Netns {
  if (netns instanceof Netns) return Netns.open(netns.path)
  if (typeof netns !== 'string') throw invalidArgument('netns', 'a Netns, or a name or path', netns)
  return Netns.open(netns)
}

function namedPath(name: string): string {
  if (typeof name !== 'string' || name === '' || name === '.' || name === '..' || /[/\0]/.test(name) || name.length > 255) {
    throw invalidArgument('name', 'a namespace name without a slash', name)
  }
  return `${NAMED}/${name}`
}

/** What ip-netns(8) does: a shared mount point, an empty file, the namespace bound over it. */
function bindName(fd: number, path: string): void {
  mkdirSync(NAMED, { recursive: true, mode: 0o755 })
  // Without sharing, a namespace deleted elsewhere would stay mounted in other mount namespaces.
  if (addon.mount('', NAMED, 'none', MS_SHARED | MS_REC) === -Errno.EINVAL) {
    check(addon.mount(NAMED, NAMED, 'none', MS_BIND | MS_REC), 'mount', NAMED)
    check(addon.mount('', NAMED, 'none', MS_SHARED | MS_REC), 'mount', NAMED)
  }
  try {
    writeFileSync(path, '', { flag: 'wx', mode: 0 })
  } catch (error) {
    const { errno, code } = error as NodeJS.ErrnoException
    throw NfkitError.fromErrno(Math.abs(errno ?? Errno.EINVAL), 'open', path, code === 'EEXIST' ? { hint: 'a namespace of that name exists' } : {})
  }
  const result = addon.mount(`/proc/self/fd/${fd}`, path, 'none', MS_BIND)
  if (result < 0) {
    rmSync(path)
    check(result, 'mount', path)
  }
}

function sysctlPath(name: string): string {
  if (typeof name !== 'string' || !/^net\/[A-Za-z0-9_./-]+$/.test(name) || name.includes('..')) {
    throw invalidArgument('sysctl', 'a name such as net/ipv4/ip_forward', name)
  }
  return `/proc/sys/${name}`
}

function readFile(netns: number, path: string): string {
  const file = checkDescriptor(addon.open(path, constants.O_RDONLY, 0, netns), 'open', path)
  try {
    const parts: Uint8Array[] = []
    for (;;) {
      const part = new Uint8Array(4096)
      const count = check(file.read(part, 0), 'read', path)
      if (count === 0) break
      parts.push(part.subarray(0, count))
    }
    return Buffer.concat(parts).toString().replace(/\n$/, '')
  } finally {
    file.close()
  }
}

function writeFile(netns: number, path: string, value: string): void {
  const file = checkDescriptor(addon.open(path, constants.O_WRONLY, 0, netns), 'open', path)
  try {
    check(file.write(new TextEncoder().encode(value)), 'write', path)
  } finally {
    file.close()
  }
}

/** Reads a network sysctl of the namespace given, or of this process's own. */
export function readSysctl(name: string, netns?: NetnsLike): string {
  const { fd, release } = resolveNetns(netns)
  try { return readFile(fd, sysctlPath(name)) } finally { release() }
}

/** Reads a file below `/proc/thread-self/net` as the namespace given has it, or this process's own. */
export function readProc(name: string, netns?: NetnsLike): string {
  const { fd, release } = resolveNetns(netns)
  try { return readFile(fd, `/proc/thread-self/net/${name}`) } finally { release() }
}

/** Writes a network sysctl of the namespace given, or of this process's own. */
export function writeSysctl(name: string, value: string | number, netns?: NetnsLike): void {
  const { fd, release } = resolveNetns(netns)
  try { writeFile(fd, sysctlPath(name), String(value)) } finally { release() }
}
