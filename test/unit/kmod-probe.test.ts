// SPDX-License-Identifier: MIT
// What the kernel module's build takes from compilers: that a kernel lacks something, in the words of gcc and of clang, and nothing else.

import { spawnSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../lib/package-root.js'

const COMPAT = join(packageRoot, 'kmod/compat')
const names = readdirSync(join(COMPAT, 'probes')).map((file) => basename(file, '.c')).filter((name) => name !== 'baseline')

/** What compilers say of a kernel that has nothing of all this: the last argument is the file, whose baseline has no fault. */
const SAY = {
  gcc: {
    call: (name: string) => `error: implicit declaration of function ‘${name}’; did you mean ‘x’? [-Werror=implicit-function-declaration]`,
    header: (name: string) => `fatal error: ${name}: No such file or directory`,
    pointer: () => 'error: returning ‘int’ from a function with return type ‘struct net_device *’ makes pointer from integer without a cast [-Wint-conversion]',
    name: (name: string) => `error: ‘${name}’ undeclared (first use in this function)`,
  },
  clang: {
    call: (name: string) => `error: call to undeclared function '${name}'; ISO C99 and later do not support implicit function declarations [-Wimplicit-function-declaration]`,
    header: (name: string) => `fatal error: '${name}' file not found`,
    pointer: () => "error: incompatible integer to pointer conversion returning 'int' from a function with result type 'struct net_device *' [-Wint-conversion]",
    name: (name: string) => `error: use of undeclared identifier '${name}'`,
  },
}

type Words = (typeof SAY)['gcc']

const complaints = (words: Words): Record<string, string[]> => ({
  alloc_netdev_dummy: [words.call('alloc_netdev_dummy'), words.pointer()],
  bpf_prog_run: [words.call('bpf_prog_run')],
  flowi4_dscp: [words.header('net/inet_dscp.h')],
  hrtimer_setup: [words.call('hrtimer_setup')],
  napi_add_weight: [words.call('netif_napi_add_weight')],
  net_gso_h: [words.header('net/gso.h')],
  nf_ipv6_ops: [words.call('nf_get_ipv6_ops'), words.pointer()],
  nf_skb_duplicated: [words.name('nf_skb_duplicated')],
  skb_clear_tstamp: [words.call('skb_clear_tstamp')],
  skb_frags_readable: [words.call('skb_frags_readable')],
  sysctl_sz: [words.call('register_net_sysctl_sz'), words.pointer()],
})

function probe (directory: string, said: Record<string, string[]>) {
  const compiler = join(directory, 'cc')
  const cases = Object.entries(said).map(([name, lines]) => `*/${name}.c) ${lines.map((line) => `printf '%s\\n' "p.c:1:1: ${line.replaceAll('"', '')}"`).join('; ')}; exit 1;;`)
  writeFileSync(compiler, `#!/bin/sh\nfor file; do :; done\ncase $file in\n${cases.join('\n')}\nesac\n`, { mode: 0o755 })
  return spawnSync('sh', [join(COMPAT, 'probe.sh'), join(COMPAT, 'probes')], { encoding: 'utf8', env: { ...process.env, CC: compiler, CFLAGS: '' } })
}

for (const [compiler, words] of Object.entries(SAY)) {
  t.test(compiler, async (t) => {
    const lacks = complaints(words)
    t.same(Object.keys(lacks).sort(), names.sort())
    const without = probe(t.testdir(), lacks)
    t.equal(without.status, 0, without.stderr)
    for (const name of names) t.match(without.stdout, `/* HAVE_${name.toUpperCase()} is not set */`)
    const withAll = probe(t.testdir(), {})
    for (const name of names) t.match(withAll.stdout, `#define HAVE_${name.toUpperCase()} 1`)
    for (const name of names) {
      const other = probe(t.testdir(), { [name]: [...lacks[name]!, words.call('something_else')] })
      t.not(other.status, 0, name)
      t.match(other.stderr, `probe ${name.toUpperCase()} failed in a way that says nothing about this kernel`)
    }
  })
}
