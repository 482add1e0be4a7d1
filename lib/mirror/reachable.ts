// SPDX-License-Identifier: MIT
// Which network namespaces are gone. The kernel tells of none by its number; but one that no process is in, has a descriptor or a mount of,
// nobody can enter any more, nor undo something there.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** PROC_PID_INIT_INO, include/linux/proc_ns.h: only there /proc shows every process. */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]'

/** Of these namespaces, by their number, those that are gone for sure; none where this process does not see all others. */
export function goneNamespaces(inodes: Iterable<number>): Set<number> {
  const unseen = new Set(inodes)
  try {
    if (unseen.size === 0 || readlinkSync('/proc/self/ns/pid') !== INITIAL_PID_NAMESPACE) return new Set()
    // Twice: a descriptor may go to a process that was looked at already.
    for (let round = 0; round < 2; round++) strike(unseen)
    return unseen
  } catch (error) {
    if (['EACCES', 'EPERM', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return new Set()
    throw error
  }
}

/** Takes away what some process holds; what costs least is looked at first. */
function strike(unseen: Set<number>): void {
  const see = (link: string | undefined) => { unseen.delete(Number(/^net:\[(\d+)\]$/.exec(link ?? '')?.[1])) }
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => `/proc/${pid}`)
  for (const path of processes) see(whileItRuns(() => readlinkSync(`${path}/ns/net`)))
  if (unseen.size === 0) return
  const mounts = new Set<string | undefined>()
  for (const path of processes) {
    const namespace = whileItRuns(() => readlinkSync(`${path}/ns/mnt`))
    if (mounts.has(namespace)) continue
    mounts.add(namespace)
    // Field 4 is the root of the mount: proc_pid_mountinfo(5).
    for (const line of whileItRuns(() => readFileSync(`${path}/mountinfo`, 'latin1'))?.split('\n') ?? []) see(line.split(' ')[3])
  }
  for (const path of processes) {
    if (unseen.size === 0) return
    for (const task of entries(`${path}/task`)) see(whileItRuns(() => readlinkSync(`${path}/task/${task}/ns/net`)))
    for (const fd of entries(`${path}/fd`)) see(whileItRuns(() => readlinkSync(`${path}/fd/${fd}`)))
  }
}

const entries = (path: string): string[] => whileItRuns(() => readdirSync(path)) ?? []

/** Undefined when the process has ended. */
function whileItRuns<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    // EINVAL: mountinfo of one that is just ending.
    if (['ENOENT', 'ESRCH', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}
