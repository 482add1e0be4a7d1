// SPDX-License-Identifier: MIT

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import { inspect } from 'node:util'
import t from 'tap'
import { Link, Netns } from '../../lib/index.js'
import { readSysctl, writeSysctl } from '../../lib/netns.js'
import { run, tryRun } from '../support/outside.js'

let counter = 0
const freshName = (): string => `nfkit-${process.pid}-${counter++}`

t.test('a new namespace is another one, with a loopback device that is down', (t) => {
  using ns = Netns.create()
  const own = readlinkSync('/proc/self/ns/net')
  t.not(run(ns, 'readlink', '/proc/self/ns/net').trim(), own)
  t.equal(readlinkSync('/proc/self/ns/net'), own, 'this thread stays where it was')
  for (const task of readdirSync('/proc/self/task')) t.equal(readlinkSync(`/proc/self/task/${task}/ns/net`), own, 'and so does every other')
  t.same(Link.list({ netns: ns }).map(({ name, up }) => ({ name, up })), [{ name: 'lo', up: false }])
  t.match(inspect(ns), /^Netns \{ fd: \d+ \}$/)
  t.equal(statSync(ns.path).ino, Number(/\d+/.exec(run(ns, 'readlink', '/proc/self/ns/net'))![0]), 'path leads into it')
  t.end()
})

t.test('close lets go of it', (t) => {
  const ns = Netns.create()
  const { fd } = ns
  let told = 0
  ns.onClose(() => { told++ })
  ns.close()
  ns.close()
  t.equal(told, 1)
  t.equal(ns.fd, -1)
  t.notOk(existsSync(`/proc/self/fd/${fd}`))
  t.throws(() => ns.path, { code: 'NFKIT_CLOSED' })
  t.throws(() => ns.readSysctl('net/ipv4/ip_forward'), { code: 'NFKIT_CLOSED' })
  t.throws(() => Link.list({ netns: ns }), { code: 'NFKIT_CLOSED' })
  t.end()
})

t.test('a named one outlives its handle, until deleted', (t) => {
  const name = freshName()
  const ns = Netns.create(name)
  t.equal(ns.name, name)
  t.ok(Netns.list().includes(name))
  const inode = statSync(ns.path).ino
  t.throws(() => Netns.create(name), { name: 'NfkitError', code: 'EEXIST', message: new RegExp(name) })
  ns.close()

  t.match(spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout, new RegExp(`^${name}\\b`, 'm'), 'ip netns sees it')
  const again = Netns.open(name)
  t.equal(statSync(again.path).ino, inode, 'it is the same one')
  again.close()
  t.equal(spawnSync('ip', ['netns', 'exec', name, 'true']).status, 0, 'ip netns enters it')
  Netns.delete(name)
  t.notOk(Netns.list().includes(name))
  t.throws(() => Netns.open(name), { code: 'ENOENT' })
  t.throws(() => Netns.delete(name), { code: 'ENOENT' })
  t.end()
})

t.test('one made by ip netns add can be opened and deleted', (t) => {
  const name = freshName()
  t.equal(spawnSync('ip', ['netns', 'add', name]).status, 0)
  const ns = Netns.open(name)
  Link.add({ name: 'br0', kind: 'bridge' }, { netns: ns })
  t.match(spawnSync('ip', ['-n', name, 'link', 'show', 'br0'], { encoding: 'utf8' }).stdout, /br0/)
  t.equal(Link.get('br0', { netns: name }).name, 'br0', 'by name in an option')
  t.equal(Link.get('br0', { netns: `/run/netns/${name}` }).name, 'br0', 'by path in an option')
  ns.close()
  Netns.delete(name)
  t.notOk(existsSync(`/run/netns/${name}`))
  t.end()
})

t.test('a file in /run/netns with nothing mounted on it, as a crash leaves it, can be deleted', (t) => {
  const first = freshName()
  Netns.create(first).close()  // makes the directory
  const name = freshName()
  writeFileSync(`/run/netns/${name}`, '')
  t.throws(() => Netns.open(name), { name: 'NfkitError' })
  Netns.delete(name)
  t.notOk(existsSync(`/run/netns/${name}`))
  Netns.delete(first)
  t.end()
})

t.test('by the id of a process in it', async (t) => {
  using ns = Netns.create()
  const child = spawn('nsenter', [`--net=${ns.path}`, '--', 'sh', '-c', 'echo in; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  using same = Netns.open(child.pid!)
  t.equal(statSync(same.path).ino, statSync(ns.path).ino)
  child.kill('SIGKILL')
  await once(child, 'close')
  t.throws(() => Netns.open(child.pid!), { code: 'ENOENT' })
})

t.test('the current one is this process\'s own', (t) => {
  using ns = Netns.current()
  t.equal(statSync(ns.path).ino, statSync('/proc/self/ns/net').ino)
  t.end()
})

t.test('another kind of namespace is refused', (t) => {
  t.throws(() => Netns.open('/proc/self/ns/uts'), { name: 'NfkitError', code: 'EINVAL' })
  const before = readdirSync('/proc/self/fd').length
  for (let i = 0; i < 20; i++) t.throws(() => Netns.open('/proc/self/ns/uts'))
  t.equal(readdirSync('/proc/self/fd').length, before, 'and leaves no descriptor open')
  t.end()
})

t.test('settings are those of the namespace', (t) => {
  using ns = Netns.create()
  const own = readSysctl('net/ipv4/ip_forward')
  t.equal(own, tryOwn('net.ipv4.ip_forward'))
  const other = own === '1' ? '0' : '1'
  ns.writeSysctl('net/ipv4/ip_forward', other)
  t.equal(ns.readSysctl('net/ipv4/ip_forward'), other)
  t.equal(readSysctl('net/ipv4/ip_forward', ns), other)
  t.equal(run(ns, 'sysctl', '-n', 'net.ipv4.ip_forward').trim(), other, 'seen from outside')
  t.equal(tryOwn('net.ipv4.ip_forward'), own, 'the other namespace keeps its own')
  writeSysctl('net/ipv4/conf/lo/rp_filter', 2, ns)
  t.equal(run(ns, 'sysctl', '-n', 'net.ipv4.conf.lo.rp_filter').trim(), '2')
  t.throws(() => ns.writeSysctl('net/ipv4/conf/lo/rp_filter', 'x'), { code: 'EINVAL' })
  t.throws(() => ns.readSysctl('net/ipv4/no_such_setting'), { code: 'ENOENT' })
  t.equal(ns.readSysctl('net/ipv4/tcp_available_congestion_control').includes('\n'), false)
  t.end()
})

t.test('/proc/net is that of the namespace', (t) => {
  using ns = Netns.create()
  Link.add({ name: 'br0', kind: 'bridge' }, { netns: ns })
  const lines = ns.readProc('dev').split('\n').slice(2).map((line) => line.trim().split(':')[0])
  t.same(lines.sort(), ['br0', 'lo'])
  t.equal(ns.readProc('dev'), run(ns, 'cat', '/proc/thread-self/net/dev').replace(/\n$/, ''))
  t.end()
})

t.test('many at once, and none left', (t) => {
  const before = readdirSync('/proc/self/fd').length
  const all = Array.from({ length: 50 }, () => Netns.create())
  t.equal(new Set(all.map(({ path }) => statSync(path).ino)).size, 50)
  for (const ns of all) { Link.list({ netns: ns }); ns.close() }
  t.equal(readdirSync('/proc/self/fd').length, before)
  t.end()
})

t.test('a namespace without a name vanishes with its handle', async (t) => {
  const ns = Netns.create()
  // One end of a wire in each: when the namespace goes, the kernel takes its end down and with it the other.
  using other = Netns.create()
  run(other, 'ip', 'link', 'add', 'wire', 'type', 'veth', 'peer', 'name', 'far', 'netns', ns.path)
  t.equal(tryRun(other, 'ip', 'link', 'show', 'wire').status, 0)
  ns.close()
  // The kernel dismantles namespaces in a work queue.
  let gone = false
  for (let i = 0; i < 200 && !gone; i++) {
    gone = tryRun(other, 'ip', 'link', 'show', 'wire').status !== 0
    if (!gone) await new Promise((resolve) => { setTimeout(resolve, 25) })
  }
  t.ok(gone)
})

/** A setting of this process's own namespace, from outside the library. */
function tryOwn(name: string): string {
  return spawnSync('sysctl', ['-n', name], { encoding: 'utf8' }).stdout.trim()
}
