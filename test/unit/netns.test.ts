// SPDX-License-Identifier: MIT
// What Netns refuses before any system call, and what it says without privilege.

import { inspect } from 'node:util'
import t from 'tap'
import { Bridge, Hook, Link, Mirror, Netfilter, Netns, PacketQueue } from '../../lib/index.js'
import { readSysctl, writeSysctl } from '../../lib/netns.js'

t.test('names', (t) => {
  for (const name of ['', '.', '..', 'a/b', 'a\0b', 'x'.repeat(256), 5, {}, Symbol('s')]) {
    t.throws(() => Netns.create(name as string), TypeError, `create ${String(typeof name === 'object' ? 'object' : String(name).slice(0, 8))}`)
    t.throws(() => Netns.delete(name as string), TypeError)
  }
  t.throws(() => Netns.delete(undefined as unknown as string), TypeError)
  t.end()
})

t.test('what to open', (t) => {
  for (const which of ['', 0, -1, 1.5, Number.NaN, null, undefined, {}, [], true]) t.throws(() => Netns.open(which as string), TypeError, inspect(which))
  t.throws(() => Netns.open(`no-such-namespace-${process.pid}`), { name: 'NfkitError', code: 'ENOENT', message: /no-such-namespace/ })
  t.throws(() => Netns.open('/proc/none/ns/net'), { code: 'ENOENT', syscall: 'open' })
  t.throws(() => Netns.open(2 ** 22 + 1), { code: 'ENOENT' }, 'no process has such an id')
  t.throws(() => Netns.open('/dev/null'), { name: 'NfkitError' }, 'a path that is no namespace')
  t.end()
})

t.test('an option is a handle, a name or a path', async (t) => {
  // A number would be the id of a process, and of another one when a descriptor is meant.
  for (const netns of [process.pid, 0, null, {}, true] as never[]) {
    for (const [what, call] of Object.entries({
      links: () => Link.list({ netns }), watch: () => Link.watch({ netns }), mirrors: () => Mirror.list({ netns }), bridges: () => Bridge.list({ netns }),
      rules: () => Netfilter.open({ family: 'ipv4', netns }), queue: () => PacketQueue.open(1, { netns }), hooks: () => Hook.list(netns), sysctl: () => readSysctl('net/ipv4/ip_forward', netns),
    })) t.throws(call, { name: 'TypeError', message: /^netns: expected a / }, `${what} ${inspect(netns)}`)
  }
})

t.test('sysctl names stay below net/', (t) => {
  for (const name of ['', 'kernel/hostname', '/etc/passwd', 'net/../kernel/hostname', 'net/ipv4/ip forward', 'net/', 5]) {
    t.throws(() => readSysctl(name as string), TypeError, `read ${name}`)
    t.throws(() => writeSysctl(name as string, 1), TypeError, `write ${name}`)
  }
  t.throws(() => readSysctl('net/ipv4/no_such_setting'), { name: 'NfkitError', code: 'ENOENT' })
  t.match(readSysctl('net/ipv4/ip_forward'), /^[01]$/)
  t.end()
})

t.test('list answers without privilege', (t) => {
  t.ok(Array.isArray(Netns.list()))
  t.end()
})

t.test('without privilege the refusal says what is needed', { skip: process.getuid?.() === 0 && 'this is root' }, (t) => {
  t.throws(() => Netns.create(), { name: 'NfkitError', code: 'EPERM', errno: 1, hint: /./ })
  t.end()
})
