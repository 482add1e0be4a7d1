// SPDX-License-Identifier: MIT
// The only door to the addon. The addon hands over bytes and knows no protocol: every call answers a number that is
// negative (-errno) on failure, and this file turns that into an NfkitError which names the system call.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { NfkitError } from './errors.js'
import { packageRoot } from './package-root.js'

/** What `watch` does with a descriptor: see {@link RawDescriptor.watch}. */
export const WatchMode = { readiness: 0, drop: 1, pause: 2 } as const

/** A record of a watched descriptor's queue; the layout is written in `src/event_loop.h`. */
export const RecordKind = { data: 0, overrun: 1, error: 2 } as const

/** Readiness bits as epoll has them. */
export const Poll = { in: 1, out: 4, error: 8, hangUp: 16 } as const

/** A file descriptor as the addon holds it; closed at the latest when its environment ends. Not for users. */
export interface RawDescriptor {
  /** The number of the open descriptor, -1 once closed. */
  readonly fd: number
  bind(address: Uint8Array): number
  connect(address: Uint8Array): number
  listen(backlog: number): number
  accept(): RawDescriptor | number
  /** Writes the socket's own address into `into`; answers its length. */
  localAddress(into: Uint8Array): number
  /** setsockopt; `pointers` as in {@link ioctl}. */
  setOption(level: number, name: number, value: Uint8Array, pointers?: readonly (Uint8Array | number)[]): number
  /** Reads into `value`; answers the length that the kernel gave. */
  getOption(level: number, name: number, value: Uint8Array): number
  /**
   * ioctl with a struct as argument; answers what the kernel answers. `pointers` are the addresses within structs, by threes:
   * the struct that holds it, the offset there, the bytes that it points to.
   */
  ioctl(request: number, argument: Uint8Array, pointers?: readonly (Uint8Array | number)[]): number
  /** flock(2): LOCK_EX is 2, with LOCK_NB (4) it answers -EAGAIN instead of waiting. */
  flock(operation: number): number
  send(data: Uint8Array, flags: number, address?: Uint8Array): number
  /** recvmsg into `into` from `offset` on; `sender`, if given, gets the address. With MSG_TRUNC the true length. */
  receive(into: Uint8Array, offset: number, flags: number, sender?: Uint8Array): number
  read(into: Uint8Array, offset: number): number
  write(data: Uint8Array): number
  shutdown(how: number): number
  /**
   * Hands the descriptor to the epoll thread. `readiness`: one-shot, armed by {@link arm}. `drop` and `pause`: the thread
   * receives datagrams into a queue of at most `limit` bytes; when that is full, `drop` discards and records an overrun,
   * `pause` stops receiving until {@link take} makes room. The handler given to `onEvent` is called with `id`.
   */
  watch(id: number, mode: number, limit: number): number
  /** Asks for one readiness notification of these {@link Poll} bits. */
  arm(events: number): number
  /**
   * The next chunk of queued records, or null when there is none; the next event comes after null was answered. With `wait`
   * it blocks up to so many milliseconds.
   */
  take(wait?: number): Uint8Array | null
  /** Ends a watch; what is queued is dropped. The descriptor stays open. */
  unwatch(): number
  close(): number
}

interface Addon {
  socket(domain: number, type: number, protocol: number, netns: number): RawDescriptor | number
  open(path: string, flags: number, mode: number, netns: number): RawDescriptor | number
  createNetns(): RawDescriptor | number
  mount(source: string, target: string, type: string, flags: number): number
  unmount(target: string, flags: number): number
  /** One handler for all watched descriptors: `events` is 0 for "records are queued", else the Poll bits. */
  onEvent(handler: (id: number, events: number) => void): void
  /** While true, watched descriptors keep the process alive. */
  setReferenced(referenced: boolean): void
}

function load(): Addon {
  const require = createRequire(import.meta.url)
  try {
    return require('node-gyp-build')(packageRoot) as Addon
  } catch (cause) {
    const { platform, arch } = process
    throw new NfkitError('NFKIT_ADDON_MISSING', `the native addon cannot be loaded for ${platform} ${arch}`, { cause, hint: howToLoad(cause, packageRoot) })
  }
}

/** What would help, by how it failed. */
function howToLoad(cause: unknown, root: string): string {
  const { name, code, message } = cause as NodeJS.ErrnoException
  if (name === 'NotCapable') return 'run Deno with --allow-read --allow-ffi --allow-env'
  if (code === 'ERR_DLOPEN_DISABLED' || code === 'ERR_ACCESS_DENIED') return 'Node.js --permission needs --allow-addons and --allow-fs-read beside it'
  const wanted = /version `?((?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)/.exec(message)?.[1]
  if (wanted !== undefined) return `this system's libraries are older than it asks for (${wanted}): build it here, from a checkout, with "npm run build"`
  if (existsSync(join(root, 'binding.gyp'))) return `build it with "npm run build" in ${root} (needs a C++ compiler, make and python3)`
  return 'this package was packed without one for this system: in a checkout on it, "npm run prebuilds" and "npm pack" make one that has it'
}

/** The addon of this environment. */
export const addon: Addon = load()

/** Throws the typed error of a negative result, answers any other as it is. */
export function check(result: number, syscall: string, detail?: string): number {
  if (result < 0) throw NfkitError.fromErrno(-result, syscall, detail)
  return result
}

/** As {@link check} for calls that answer a descriptor. */
export function checkDescriptor(result: RawDescriptor | number, syscall: string, detail?: string): RawDescriptor {
  if (typeof result === 'number') throw NfkitError.fromErrno(-result, syscall, detail)
  return result
}
