// SPDX-License-Identifier: MIT
// The lock of iptables-legacy: the same file, in both directions, and what queues within this process.

import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Netfilter, Netns, NfkitError } from '../../lib/index.js'
import { asNobody, feed, noUserNamespaces, run, tryRun } from '../support/outside.js'

const directory = mkdtempSync(join(tmpdir(), 'nfkit-'))
const path = join(directory, 'lock')
process.env['XTABLES_LOCKFILE'] = path
t.teardown(() => rmSync(directory, { recursive: true }))

function fresh(t: { teardown(f: () => void): void }, lock?: Parameters<typeof Netfilter.open>[0] extends infer O | undefined ? O extends { lock?: infer L } ? L : never : never) {
  const ns = Netns.create()
  const nf = Netfilter.open({ netns: ns, lock })
  t.teardown(() => { nf.close(); ns.close() })
  return { ns, nf }
}

/** iptables, with a second of patience: without -w version 1.8.9 waits for ever. */
const iptables = (ns: Netns) => tryRun(ns, 'iptables-legacy', '-w', '1', '-A', 'INPUT')

/** Another process that holds the lock until it is told to let go. */
async function holder(t: { teardown(f: () => void): void }): Promise<{ pid: number; release: () => Promise<void> }> {
  const child = spawn('flock', [path, 'sh', '-c', 'echo held; read line'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolve) => { child.once('close', () => resolve()) })
  t.teardown(() => { child.kill('SIGKILL') })
  await new Promise((resolve) => { child.stdout.once('data', resolve) })
  return { pid: child.pid!, release: () => { child.stdin.end('\n'); return ended } }
}

t.test('it is the file that iptables-legacy takes', async (t) => {
  const { ns, nf } = fresh(t, { wait: 0 })
  await nf.update('filter', () => {})
  t.ok(existsSync(path), 'XTABLES_LOCKFILE')
  const { pid, release } = await holder(t)
  t.equal(iptables(ns).status, 4, 'iptables gives up')
  t.throws(() => nf.updateSync('filter', () => {}), { code: 'NFKIT_LOCK_TIMEOUT', message: new RegExp(`${path}.*process ${pid}`) } as never)
  await t.rejects(nf.update('filter', () => {}), { code: 'NFKIT_LOCK_TIMEOUT' })
  t.equal(nf.table('filter').chain('INPUT').length, 0, 'reading takes none')
  // While a callback runs, iptables must find the lock taken.
  await release()
  nf.updateSync('filter', (table) => {
    table.chain('INPUT').append('-p tcp')
    t.equal(iptables(ns).status, 4)
  })
  t.equal(iptables(ns).status, 0, 'and free afterwards')
  t.equal(nf.table('filter').chain('INPUT').length, 2)
})

t.test('it is waited for, while other things go on', async (t) => {
  const { nf } = fresh(t, { wait: 'forever' })
  const { release } = await holder(t)
  let ticks = 0
  const timer = setInterval(() => { ticks++ }, 2)
  const update = nf.update('filter', (table) => { table.chain('INPUT').append('-p tcp') })
  while (ticks < 20) await new Promise((resolve) => { setTimeout(resolve, 5) })
  clearInterval(timer)
  t.equal(nf.table('filter').chain('INPUT').length, 0, 'not yet')
  await release()
  await update
  t.equal(nf.table('filter').chain('INPUT').length, 1)

  // The synchronous one blocks this thread, so this holder lets go by itself.
  const other = spawn('flock', [path, 'sh', '-c', 'echo held; sleep 0.2'], { stdio: ['ignore', 'pipe', 'ignore'] })
  await new Promise((resolve) => { other.stdout.once('data', resolve) })
  nf.updateSync('filter', (table) => { table.chain('INPUT').append('-p udp') })
  t.equal(nf.table('filter').chain('INPUT').length, 2)
})

t.test('waiting ends with its time, or with its signal', async (t) => {
  const { nf } = fresh(t, { wait: 0.05 })
  const { release } = await holder(t)
  await t.rejects(nf.update('filter', () => {}), { code: 'NFKIT_LOCK_TIMEOUT', message: /0\.05 s/ })
  t.throws(() => nf.updateSync('filter', () => {}), { code: 'NFKIT_LOCK_TIMEOUT' } as never)
  const patient = Netfilter.open({ lock: { wait: 'forever' } })
  t.teardown(() => patient.close())
  const first = new AbortController()
  const second = new AbortController()
  const updates = [patient.update('filter', () => t.fail('ran'), { signal: first.signal }), patient.update('filter', () => t.fail('ran'), { signal: second.signal })]
  setTimeout(() => second.abort(new Error('second')), 10)
  setTimeout(() => first.abort(new Error('first')), 30)
  const results = await Promise.allSettled(updates)
  t.same(results.map((one) => one.status === 'rejected' && one.reason.message), ['first', 'second'])
  await t.rejects(patient.update('filter', () => t.fail('ran'), { signal: AbortSignal.abort(new Error('before')) }), { message: 'before' })
  await release()
})

t.test('updates of one process queue, in their order, and each gets its turn', async (t) => {
  const { ns, nf } = fresh(t)
  const other = Netfilter.open({ netns: ns })
  t.teardown(() => other.close())
  const order: number[] = []
  await Promise.all(Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? nf : other).update('filter', (table) => {
    order.push(i)
    if (i === 20) { void nf.update('filter', () => { order.push(100) }) }
    table.chain('INPUT').append({ matches: [{ name: 'comment', comment: String(i) }] })
  }).then(() => { if (i === 10) nf.updateSync('filter', (table) => { table.chain('OUTPUT').append('-p tcp') }) })))
  await nf.update('filter', () => {})
  t.same(order, [...Array.from({ length: 50 }, (_, i) => i), 100])
  t.equal(nf.table('filter').chain('INPUT').length, 50)
  t.equal(nf.table('filter').chain('OUTPUT').length, 1, 'a synchronous one between them')
  const failing = await Promise.allSettled([nf.update('filter', () => { throw new Error('on purpose') }), nf.update('filter', () => 7)])
  t.same(failing.map((one) => one.status), ['rejected', 'fulfilled'], 'an error ends the one, not the queue')
})

t.test('nested updates are an error, not a deadlock', async (t) => {
  for (const lock of [{ wait: 'forever' }, 'off'] as const) {
    const { ns, nf } = fresh(t, lock)
    const other = Netfilter.open({ netns: ns, lock })
    t.teardown(() => other.close())
    t.throws(() => nf.updateSync('filter', () => nf.updateSync('nat', () => {})), { code: 'NFKIT_NESTED_UPDATE' } as never)
    t.throws(() => nf.updateSync('filter', () => other.updateSync('filter', () => {})), { code: 'NFKIT_NESTED_UPDATE' } as never)
    await t.rejects(nf.update('filter', () => other.updateSync('filter', () => {})), { code: 'NFKIT_NESTED_UPDATE' })
    nf.updateSync('filter', () => {})
    let inner: Promise<number> | undefined
    nf.updateSync('filter', () => { inner = nf.update('filter', () => 5) })
    t.equal(await inner, 5, 'one that is not waited for comes afterwards')
  }
})

t.test('without the lock, a change of somebody else is seen by reading twice', async (t) => {
  const { ns, nf } = fresh(t, 'off')
  run(ns, 'iptables-legacy', '-A', 'INPUT', '-p', 'tcp')
  const { release } = await holder(t)
  let calls = 0
  nf.updateSync('filter', (table) => {
    // Replaces one rule by another: the number of rules and all offsets stay.
    if (calls++ === 0) feed(ns, '*filter\n-A INPUT -p udp\nCOMMIT\n', 'env', `XTABLES_LOCKFILE=${path}2`, 'iptables-legacy-restore')
    table.chain('INPUT').append('-p icmp')
  })
  t.equal(calls, 2)
  t.same(nf.table('filter').chain('INPUT').rules.map((rule) => rule.protocol), ['udp', 'icmp'])
  calls = 0
  t.throws(() => nf.updateSync('filter', (table) => {
    calls++
    run(ns, 'env', `XTABLES_LOCKFILE=${path}2`, 'iptables-legacy', '-A', 'OUTPUT')
    table.chain('INPUT').append('-p icmp')
  }), { code: 'EAGAIN' } as never, 'and when it never ends, that is an error')
  t.ok(calls > 10)
  await release()
})

t.test('with the lock, one who takes none is seen by the size of the table', async (t) => {
  const { ns, nf } = fresh(t)
  let calls = 0
  await nf.update('filter', (table) => {
    if (calls++ === 0) run(ns, 'env', `XTABLES_LOCKFILE=${path}2`, 'iptables-legacy', '-A', 'OUTPUT', '-p', 'tcp')
    table.chain('INPUT').append('-p icmp')
  })
  t.equal(calls, 2)
  t.same(['INPUT', 'OUTPUT'].map((name) => nf.table('filter').chain(name).length), [1, 1])
})

t.test('a file that cannot be used says what to do', async (t) => {
  for (const bad of [join(directory, 'none', 'lock'), directory]) {
    const { nf } = fresh(t, { path: bad })
    const error = await nf.update('filter', () => t.fail('ran')).catch((one) => one as NfkitError)
    t.match(error, { code: 'NFKIT_LOCK_UNUSABLE', hint: /XTABLES_LOCKFILE/, errno: bad === directory ? 21 : 2, syscall: 'open' })
    t.throws(() => nf.updateSync('filter', () => t.fail('ran')), { code: 'NFKIT_LOCK_UNUSABLE' } as never)
  }
  for (const lock of ['on', 5, null, { wait: -1 }, { wait: 'long' }, { path: '' }, { file: 'x' }]) {
    t.throws(() => Netfilter.open({ lock: lock as never }), /lock/)
  }
  t.throws(() => Netfilter.open({ family: 'inet' as never }), { name: 'TypeError' })
})

t.test('an ordinary user, in a namespace of his own', { skip: noUserNamespaces(fileURLToPath(import.meta.url)) }, async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'nfkit-user-'))
  chmodSync(home, 0o777)
  t.teardown(() => rmSync(home, { recursive: true }))
  writeFileSync(join(directory, 'foreign'), '', { mode: 0o600 })
  chmodSync(directory, 0o755)
  const program = join(home, 'program.mjs')
  writeFileSync(program, `
    import { Netfilter } from ${JSON.stringify(new URL('../../lib/index.js', import.meta.url).href)}
    const say = (run) => { try { return run() } catch (error) { return error.code } }
    const foreign = Netfilter.open({ lock: { path: ${JSON.stringify(join(directory, 'foreign'))} } })
    const own = Netfilter.open({ lock: { path: ${JSON.stringify(join(home, 'lock'))} } })
    const off = Netfilter.open({ lock: 'off' })
    console.log(JSON.stringify([foreign, own, off].map((nf) => say(() => nf.updateSync('filter', (table) => { table.chain('INPUT').append('-p tcp'); return table.chain('INPUT').length })))))
  `)
  const [command, ...user] = asNobody
  const inside = spawnSync(command, [...user, 'unshare', '--user', '--map-root-user', '--net', process.execPath, program], { encoding: 'utf8' })
  t.equal(inside.stderr, '')
  t.same(JSON.parse(inside.stdout), ['NFKIT_LOCK_UNUSABLE', 1, 2])
  const outside = spawnSync(command, [...user, process.execPath, program], { encoding: 'utf8' })
  t.same(JSON.parse(outside.stdout), ['NFKIT_LOCK_UNUSABLE', 'EPERM', 'EPERM'])
})
