// SPDX-License-Identifier: MIT
// Memory is wanting while the module is loaded, and while a namespace is made that gets its part of it: for each allocation once. It is refused,
// and nothing of it is left.

import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { Link, Netns } from '../../lib/index.js'
import { ANYWHERE, failInShell, functionOf, moduleCode, noFaults, quiet, unloadEventually, within } from '../support/faults.js'
import { isLoaded, loadModule, MODULE, unloadModule } from '../support/module.js'

t.setTimeout(900_000)

const MOST = 300

/** What there is of the module in the kernel. */
function traces(namespaces: readonly Netns[]): string[] {
  const found = ['/dev/nfkit', '/proc/net/nfkit', '/proc/sys/net/nfkit', '/sys/module/nfkit', '/sys/class/misc/nfkit'].filter(existsSync)
  for (const [file, what] of [['/proc/misc', 'nfkit'], ['/proc/net/ip_tables_targets', 'CLONE'], ['/proc/net/ip6_tables_targets', 'CLONE']] as const) {
    if (readFileSync(file, 'latin1').includes(what)) found.push(`${what} in ${file}`)
  }
  for (const [i, netns] of namespaces.entries()) {
    try {
      netns.readProc('nfkit')
      found.push(`/proc/net/nfkit in namespace ${i}`)
    } catch { /* So it is to be. */ }
  }
  return found
}

t.test('loading the module', { skip: noFaults }, async (t) => {
  await unloadEventually()
  // Each is given its part, and has to give it back.
  const namespaces = [Netns.create(), Netns.create()]
  t.teardown(() => { for (const netns of namespaces) netns.close() })
  t.same(traces(namespaces), [])
  within(functionOf('do_one_initcall'))
  let refused = 0
  let done = 0
  for (let count = 1; count < MOST; count++) {
    // Not the insmod of busybox, which tries another system call then.
    const { failed, status, stderr } = failInShell(count, `/usr/bin/env insmod ${MODULE}`)
    if (!failed) break
    if (status === 0) {
      done++
      unloadModule()
    } else {
      refused++
      t.match(stderr, /Cannot allocate memory/, `allocation ${count}`)
    }
    t.notOk(isLoaded())
    const left = traces(namespaces)
    if (left.length > 0) t.same(left, [], `allocation ${count}`)
    // Nobody is told of devices and namespaces any more: what was told is gone.
    Link.add({ name: 'd0', kind: 'dummy' }, { netns: namespaces[0] })
    Link.delete('d0', { netns: namespaces[0] })
    Netns.create().close()
    quiet(t)
  }
  t.ok(refused > 20, `${refused} allocations failed, and the module was refused; ${done} more, and it was loaded`)
  t.ok(isLoaded(), 'then it was loaded')
  for (const netns of namespaces) t.match(netns.readProc('nfkit'), /^target/)
  unloadModule()
  t.same(traces(namespaces), [])
  quiet(t)
})

t.test('making a network namespace', { skip: noFaults }, async (t) => {
  loadModule()
  within(moduleCode())
  let refused = 0
  let done = 0
  for (let count = 1; count < MOST; count++) {
    const { failed, status, stderr } = failInShell(count, 'unshare -n busybox true')
    if (!failed) {
      t.equal(status, 0, stderr)
      break
    }
    if (status === 0) done++
    else refused++
  }
  t.ok(refused >= 5, `${refused} allocations of the module failed, and there was no namespace; ${done} more, and there was one`)
  const netns = Netns.create()
  t.match(netns.readProc('nfkit'), /^target/)
  netns.close()
  quiet(t)
})

t.teardown(async () => {
  if (noFaults !== false) return
  within(ANYWHERE)
  await unloadEventually()
})
