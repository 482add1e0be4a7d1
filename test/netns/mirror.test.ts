// SPDX-License-Identifier: MIT
// Mirror as far as it goes without the kernel module: arguments, what is missing, plans, journals of any content. That copies leave is the vm ring's.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readlinkSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from '../support/fast-check.js'
import t, { type Test } from 'tap'
import { KernelModule, Link, Mirror, type MirrorOptions, Netns, PacketMatch, Rule } from '../../lib/index.js'
import { planHook } from '../../lib/mirror/hook-source.js'
import { identify } from '../../lib/mirror/namespace.js'
import { planDevices } from '../../lib/mirror/plan-devices.js'
import { FIRST_NUMBER, planReroute, type Surroundings } from '../../lib/mirror/plan-reroute.js'
import { decodeRecord, type DevicesRecord, encodeRecord, type RerouteRecord } from '../../lib/mirror/record.js'
import { planSource } from '../../lib/mirror/source.js'
import { applyStep } from '../../lib/mirror/step.js'
import { nfkit } from '../support/cli.js'
import { journalDirectory } from '../support/mirror.js'
import { run, tryRun, waitUntilUp } from '../support/outside.js'

t.setTimeout(300_000)

const loaded = KernelModule.status().loaded

function namespace(test: Test): Netns {
  const ns = Netns.create()
  test.teardown(() => ns.close())
  // Without addresses, which would come in the background.
  run(ns, 'sh', '-ec', 'ip link add eth5 type veth peer name far; for i in eth5 far; do ip link set $i addrgenmode none; ip link set $i up; done')
  waitUntilUp(ns, 'eth5', 'far')
  return ns
}

function record(ns: Netns, changes: Partial<RerouteRecord> = {}): RerouteRecord {
  return {
    version: 1, id: 'a-b', name: 'one', created: '2025-01-01T00:00:00.000Z', persistent: false, owner: { pid: 1, started: '0' },
    namespace: identify(ns), via: 'reroute', families: ['ipv4'], from: { table: 'filter', chain: 'INPUT', rules: ['-p tcp'] }, to: ['eth5'],
    mark: FIRST_NUMBER, table: FIRST_NUMBER, state: 'up', steps: [], ...changes,
  }
}

function seesAllProcesses(): boolean {
  if (readlinkSync('/proc/self/ns/pid') !== 'pid:[4026531836]') return false
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).every((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/ns/net`) !== ''
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT'
    }
  })
}

/** One from a rule, one from a hook point. */
function devicesRecords(ns: Netns): DevicesRecord[] {
  const { mark: _mark, table: _table, ...common } = record(ns)
  const target = 'mirror.one'
  const clone = { devices: ['eth5', { device: 'eth6', vlan: { id: 900, priority: 3 }, destination: '02:00:00:00:00:01' }], sample: 10, random: true }
  const source = { at: 'ingress', in: 'eth0', priority: -5, match: { or: [{ protocol: 'udp' }, { bytes: { at: 'network', offset: 0, value: '45' } }] } } as const
  return [
    { ...common, via: 'devices', target, to: ['eth5', 'eth6'], steps: [
      { kind: 'target', target, config: clone },
      { kind: 'clone-rule', family: 'ipv4', table: 'filter', chain: 'INPUT', rules: ['-p tcp -j CLONE --target mirror.one'], target },
    ] },
    { ...common, via: 'devices', target, families: [], from: source, to: ['eth5', 'eth6'], steps: [
      { kind: 'target', target, config: clone }, { kind: 'hook', hook: target, target, source },
    ] },
  ]
}

/** Puts a file where the journal of a mirror is. */
function writeJournal(journal: string, ns: Netns, name: string, content: string | Uint8Array): string {
  const { device, inode } = identify(ns)
  const directory = join(journal, `${device}-${inode}`)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, `${name}.json`)
  writeFileSync(path, content)
  return path
}

t.test('wrong arguments are refused before anything else', async (t) => {
  const netns = namespace(t)
  const journal = journalDirectory(t)
  const good: MirrorOptions = { from: { chain: 'FORWARD' }, to: 'eth5', netns, journal }
  const wrong: [Partial<Record<keyof MirrorOptions | 'other', unknown>>, RegExp][] = [
    [{ from: undefined }, /from: expected an object with a chain or a hook point, or a text/],
    [{ from: 7 }, /from: expected an object/],
    [{ from: {} }, /from\.chain: expected a chain such as FORWARD, got undefined/],
    [{ from: '-p tcp' }, /from: expected a text such as/],
    [{ from: '' }, /from: expected a text such as/],
    [{ from: 'FORWARD -j ACCEPT' }, /from: expected a rule without target/],
    [{ from: { chain: 'FORWARD', target: { name: 'ACCEPT' } } }, /from: expected a rule without target/],
    [{ from: { chain: 'FORWARD', protocoll: 'tcp' } }, /rule: expected one of/],
    [{ from: { chain: 'FORWARD', table: 'no such table' } }, /table: expected a table/],
    [{ from: 'FORWARD --dport 80' }, /dport/],
    [{ from: 'FORWARD -s 10.0.0.1', family: 'ipv6' }, /10\.0\.0\.1/],
    [{ to: undefined }, /to: expected the name of the mirror port/],
    [{ to: [] }, /to: expected at least one port/],
    [{ to: 'a name with blanks' }, /^to\[0\]: expected a name of 1 to 15 bytes/],
    [{ to: ['eth5', 'eth5'] }, /expected different devices/],
    [{ to: [{ device: 'eth5', vlan: { id: 5000 } }] }, /vlan\.id: expected an integer from 0 to 4094/],
    [{ to: [{ device: 'eth5', ttl: 1 }] }, /^to\[0\]: expected only device, vlan, destination/],
    [{ to: ['eth5', 7] }, /to: expected the name of the mirror port/],
    [{ name: '' }, /name: expected a name of 1 to 63/],
    [{ name: '../../etc/passwd' }, /name: expected a name/],
    [{ name: 'x'.repeat(64) }, /name: expected a name/],
    [{ name: 'x'.repeat(25) }, /name: expected at most 24 characters, since its clone target is mirror\.NAME/],
    [{ via: 'tunnel' }, /via: expected 'devices' or 'reroute'/],
    [{ family: 'inet' }, /family: expected 'ipv4', 'ipv6' or 'both'/],
    [{ persistent: 1 }, /persistent: expected true or false/],
    [{ mark: 5 }, /mark: expected via: 'reroute' with it, since copies via 'devices' have no mark/],
    [{ table: 5 }, /table: expected via: 'reroute'/],
    [{ snaplen: 59 }, /snaplen: expected/],
    [{ random: true }, /sample: expected 2 or more/],
    [{ burst: 5 }, /burst: expected a rate/],
    // Via reroute.
    [{ via: 'reroute', from: { chain: 'PREROUTING' } }, /from\.chain: expected INPUT, FORWARD, OUTPUT or POSTROUTING/],
    [{ via: 'reroute', from: 'PREROUTING -p tcp' }, /from\.chain: expected INPUT/],
    [{ via: 'reroute', from: { at: 'forward' } }, /from\.at: expected via: 'devices' with a hook point/],
    [{ via: 'reroute', to: ['eth5', 'eth6'] }, /to: expected one port/],
    [{ via: 'reroute', to: [] }, /to: expected one port/],
    [{ via: 'reroute', to: { device: 'eth5' } }, /to: expected the name/],
    [{ via: 'reroute', to: 'a name with blanks' }, /to: expected/],
    [{ via: 'reroute', snaplen: 100 }, /snaplen: expected via: 'devices' with it/],
    [{ via: 'reroute', mark: 0 }, /mark: expected a whole number from 1/],
    [{ via: 'reroute', mark: '7' }, /mark: expected a number/],
    [{ via: 'reroute', table: 2 ** 32 }, /table: expected a whole number/],
    // Hook points.
    [{ from: { at: 'nowhere' } }, /at: expected prerouting, local-in/],
    [{ from: { at: 'ingress' } }, /in: expected the name of a device/],
    [{ from: { at: 'ingress', in: 'eth0', out: 'eth1' } }, /out: expected nothing at ingress/],
    [{ from: { at: 'ingress', in: 'eth0' }, family: 'ipv4' }, /family: expected none at ingress/],
    [{ from: { at: 'forward', family: 'ipv6' }, family: 'ipv4' }, /from\.family: expected ipv4, as family says/],
    [{ from: { at: 'forward', verdict: 'drop' } }, /from: expected only at, family/],
    [{ from: { at: 'forward', chain: 'FORWARD' } }, /from: expected only at, family/],
    [{ from: { at: 'forward', match: { colour: 'red' } } }, /match: expected one of/],
    [{ journal: '' }, /journal: expected the path/],
    [{ lock: 7 }, /lock: expected/],
    [{ other: 1 }, /options: expected only name, from/],
  ]
  for (const [change, message] of wrong) {
    const error = await Mirror.create({ ...good, ...change } as MirrorOptions).then(() => undefined, (reason: unknown) => reason as Error)
    t.match(error, { message }, JSON.stringify(change))
    t.ok(error instanceof TypeError || error instanceof RangeError || (error as { code?: string } | undefined)?.code === 'NFKIT_BAD_RULE', `${error?.name}`)
  }
  t.throws(() => Mirror.open('..', { journal, netns }), TypeError)
  await t.rejects(Mirror.remove('a b', { journal, netns }), TypeError)
  t.throws(() => Mirror.list({ name: 'x' } as object), /options: expected only netns, journal/)
  t.same(readdirSync(journal), [])
})

for (const via of ['devices', 'reroute'] as const) t.test(`without the module, via ${via}`, { skip: loaded && 'the module is loaded' }, async (t) => {
  const netns = namespace(t)
  const journal = journalDirectory(t)
  const [obstacle] = KernelModule.status().loadObstacles
  const code = obstacle?.code ?? 'NFKIT_MODULE_NOT_LOADED'
  await t.rejects(Mirror.create({ via, from: { chain: 'FORWARD' }, to: 'eth5', netns, journal }), { name: 'NfkitError', code, message: /^mirroring: /, hint: /./ })
  t.match(await nfkit(netns, ['mirror', 'add', '--via', via, '--from', 'FORWARD -p tcp', '--to', 'eth5']), { status: 1, stderr: new RegExp(`nfkit: mirroring: .*${code}`) })
  t.equal(Link.get('eth5', { netns }).arp, true)
  t.same(readdirSync(journal), [], 'nothing is written')
  t.same(Mirror.list({ netns, journal }), [])
  t.throws(() => Mirror.open('one', { netns, journal }), { code: 'NFKIT_NO_SUCH_MIRROR' })
  await t.rejects(Mirror.remove('one', { netns, journal }), { code: 'NFKIT_NO_SUCH_MIRROR' })
})

t.test('plans', async (t) => {
  const ns = namespace(t)
  const port = Link.get('eth5', { netns: ns })
  const around: Surroundings = { port, policyRules: Rule.list({ netns: ns }), tables: new Set(), marks: new Set(), others: [] }
  const source = planSource('FORWARD -p tcp --dport 80', 'web', undefined, 'reroute')
  t.same([...source.rules.keys()], ['ipv4', 'ipv6'])
  const one = planReroute({ source, families: ['ipv4', 'ipv6'] }, around)
  t.equal(one.mark, FIRST_NUMBER)
  t.equal(one.table, FIRST_NUMBER)
  t.same(one.steps.map(({ kind }) => kind), ['arp', 'blackhole', 'route', 'rule', 'behind', 'blackhole', 'route', 'rule', 'behind', 'clone-rule', 'clone-rule'])
  t.match(one.steps[4], { family: 'ipv4', rules: [{ priority: 0, table: 'local' }] })
  t.match(one.steps[9], { rules: [`-p tcp -m tcp --dport 80 -m comment --comment "nfkit:web" -j CLONE --mark 0x${FIRST_NUMBER.toString(16)}`] })

  const other = record(ns, { steps: one.steps })
  const moved = [...around.policyRules.filter(({ priority }) => priority === 0), ...around.policyRules]
  const two = planReroute({ source, families: ['ipv4'] }, { ...around, policyRules: moved, others: [other], port: { ...port, arp: false } })
  t.equal(two.mark, FIRST_NUMBER + 1)
  t.equal(two.steps[0]!.kind, 'arp', 'shared with the other mirror')
  t.equal(planReroute({ source, families: ['ipv4'] }, { ...around, port: { ...port, arp: false } }).steps[0]!.kind, 'blackhole', 'somebody else switched it off')
  t.equal(planReroute({ source, families: ['ipv4'] }, { ...around, marks: new Set([FIRST_NUMBER]), tables: new Set([FIRST_NUMBER + 1]) }).mark, FIRST_NUMBER + 2)
  t.match(planReroute({ source, families: ['ipv4'], mark: 5, table: 6 }, around), { mark: 5, table: 6 })
  t.throws(() => planReroute({ source, families: ['ipv4'], table: 255 }, around), RangeError)
  t.throws(() => planReroute({ source, families: ['ipv4'], mark: 5 }, { ...around, marks: new Set([5]) }), RangeError)
})

t.test('sources', async (t) => {
  const of = (from: unknown, ...families: ('ipv4' | 'ipv6')[]) => {
    const { table, chain, rules } = planSource(from, 'n', families.length === 0 ? undefined : families, 'devices')
    return [table, chain, ...[...rules].map(([family, text]) => `${family}: ${text({ mark: 1 }).join(' | ')}`)]
  }
  const tail = '-m comment --comment "nfkit:n" -j CLONE --mark 0x1'
  t.same(of('FORWARD'), ['filter', 'FORWARD', `ipv4: ${tail}`, `ipv6: ${tail}`])
  t.same(of('-A POSTROUTING -o eth0'), ['mangle', 'POSTROUTING', `ipv4: -o eth0 ${tail}`, `ipv6: -o eth0 ${tail}`])
  t.same(of('PREROUTING'), ['mangle', 'PREROUTING', `ipv4: ${tail}`, `ipv6: ${tail}`])
  t.same(of('-t raw -A OUTPUT'), ['raw', 'OUTPUT', `ipv4: ${tail}`, `ipv6: ${tail}`])
  t.same(of('INPUT -s 10.0.0.1,10.0.0.2'), ['filter', 'INPUT', `ipv4: -s 10.0.0.1/32 ${tail} | -s 10.0.0.2/32 ${tail}`])
  t.same(of({ chain: 'mine', source: 'fd00::1' }), ['filter', 'mine', `ipv6: -s fd00::1/128 ${tail}`])
  t.same(of({ chain: 'mine', matches: [{ name: 'comment', comment: 'a b' }] }, 'ipv4'), ['filter', 'mine', `ipv4: -m comment --comment "a b" ${tail}`])
})

t.test('plans via devices', async (t) => {
  const source = planSource('PREROUTING -p udp', 'web', undefined, 'devices')
  const clone = { devices: ['eth5', { device: 'eth6', vlan: { id: 900 } }], snaplen: 128 }
  const rule = '-p udp -m comment --comment "nfkit:web" -j CLONE --target mirror.web'
  t.same(planDevices(source, ['ipv4', 'ipv6'], 'mirror.web', clone), [
    { kind: 'target', target: 'mirror.web', config: clone },
    { kind: 'clone-rule', family: 'ipv4', table: 'mangle', chain: 'PREROUTING', target: 'mirror.web', rules: [rule] },
    { kind: 'clone-rule', family: 'ipv6', table: 'mangle', chain: 'PREROUTING', target: 'mirror.web', rules: [rule] },
  ])
  const hook = planHook({ at: 'ingress', in: 'eth0', match: { bytes: { at: 'frame', offset: 0, value: Uint8Array.of(1, 0xab) } } }, undefined, 'mirror.web')
  t.same(hook, { source: { at: 'ingress', in: 'eth0', match: { bytes: { at: 'frame', offset: 0, value: '01ab' } } }, families: [] }, 'as a journal can hold it')
  t.same(planDevices(hook, hook.families, 'mirror.web', clone).slice(1), [{ kind: 'hook', hook: 'mirror.web', target: 'mirror.web', source: hook.source }])
  t.same(planHook({ at: 'forward' }, undefined, 'x').families, ['ipv4', 'ipv6'])
  t.match(planHook({ at: 'forward', match: PacketMatch.create({ length: 100 }) }, ['ipv6'], 'x'), { source: { family: 'ipv6', match: { length: 100 } }, families: ['ipv6'] })
})

t.test('a journal reads as it was written', async (t) => {
  const ns = namespace(t)
  const source = planSource({ chain: 'INPUT' }, 'one', undefined, 'reroute')
  const { steps } = planReroute({ source, families: ['ipv4', 'ipv6'] },
    { port: Link.get('eth5', { netns: ns }), policyRules: Rule.list({ netns: ns }), tables: new Set(), marks: new Set(), others: [] })
  const whole = record(ns, { steps, persistent: true })
  const bytes = new TextEncoder().encode(encodeRecord(whole))
  t.same(decodeRecord(bytes), JSON.parse(JSON.stringify(whole)))
  // Cut anywhere, it is none.
  for (let length = 0; length < bytes.length - 2; length += 7) t.throws(() => decodeRecord(bytes.subarray(0, length)), { code: 'NFKIT_BAD_JOURNAL' })
  for (const devices of devicesRecords(ns)) t.same(decodeRecord(new TextEncoder().encode(encodeRecord(devices))), devices)
})

t.test('journals of any content are an error of their own, or read as what they say', async (t) => {
  const ns = namespace(t)
  const good = JSON.parse(encodeRecord(record(ns, { steps: [{ kind: 'rule', family: 'ipv4', mark: 1, table: 2 }, { kind: 'behind', family: 'ipv4', rules: Rule.list({ netns: ns }).slice(0, 1) }] }))) as Record<string, unknown>
  const read = (bytes: Uint8Array) => {
    try {
      decodeRecord(bytes)
    } catch (error) {
      if ((error as { code?: string }).code !== 'NFKIT_BAD_JOURNAL') throw error
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), read))
  fc.assert(fc.property(fc.json(), (text) => read(new TextEncoder().encode(text))))
  // One field of a good one is anything.
  const path = fc.constantFrom(...Object.keys(good))
  fc.assert(fc.property(path, fc.jsonValue(), (key, value) => read(new TextEncoder().encode(JSON.stringify({ ...good, [key]: value })))), { numRuns: 500 })
  fc.assert(fc.property(fc.nat(1), fc.constantFrom('kind', 'family', 'rules', 'mark'), fc.jsonValue(), (at, key, value) => {
    const steps = (good['steps'] as object[]).map((step, i) => (i === at ? { ...step, [key]: value } : step))
    read(new TextEncoder().encode(JSON.stringify({ ...good, steps })))
  }), { numRuns: 500 })
  for (const devices of devicesRecords(ns).map((one) => JSON.parse(encodeRecord(one)) as { steps: Record<string, object>[]; from: object })) {
    const key = fc.constantFrom(...Object.keys(devices), ...Object.keys(devices.from), ...devices.steps.flatMap((step) => Object.keys(step)), 'devices', 'sample', 'match')
    fc.assert(fc.property(fc.nat(5), key, fc.jsonValue(), (where, key, value) => {
      const put = (object: object) => ({ ...object, [key]: value })
      const steps = devices.steps.map((step, i) => (where === i + 2 ? put(step) : where === i + 4 ? { ...step, config: put(step['config'] ?? {}), source: put(step['source'] ?? {}) } : step))
      read(new TextEncoder().encode(JSON.stringify({ ...(where === 0 ? put(devices) : devices), ...(where === 1 ? { from: put(devices.from) } : {}), steps })))
    }), { numRuns: 500 })
    t.throws(() => decodeRecord(new TextEncoder().encode(JSON.stringify({ ...devices, from: { at: 'nowhere' } }))), { code: 'NFKIT_BAD_JOURNAL', message: /a hook: at: expected/ })
    t.throws(() => decodeRecord(new TextEncoder().encode(JSON.stringify({ ...devices, steps: [{ kind: 'target', target: 'x', config: { devices: [] } }] }))), { code: 'NFKIT_BAD_JOURNAL', message: /a clone target: / })
  }
  for (const [change, message] of [
    [{ version: 2 }, /version 2, and this nfkit knows version 1/], [{ name: '../x' }, /name is no name/], [{ steps: [{ kind: '__proto__' }] }, /there is no step/],
    [{ steps: [{ kind: 'arp', link: -1, port: 'eth5' }] }, /steps\[0\]\.link is not a whole number/], [{ mark: '1' }, /mark is not a whole number/],
  ] as const) t.throws(() => decodeRecord(new TextEncoder().encode(JSON.stringify({ ...good, ...change }))), { code: 'NFKIT_BAD_JOURNAL', message })
})

t.test('what is in the directory of journals', async (t) => {
  const netns = namespace(t)
  const journal = journalDirectory(t)
  const place = { netns, journal }
  writeJournal(journal, netns, 'broken', '{')
  writeJournal(journal, netns, 'other', encodeRecord(record(netns)))
  writeJournal(journal, netns, 'one', encodeRecord(record(netns)))
  writeJournal(journal, netns, '.half', 'anything')
  t.match(Mirror.list(place), [
    { name: 'broken', state: 'damaged', problem: /broken\.json: not the journal of a mirror: not JSON/ },
    { name: 'one', state: 'up', abandoned: true, from: { chain: 'INPUT' } },
    { name: 'other', state: 'damaged', problem: /it is of one/ },
  ])
  await t.rejects(Mirror.remove('broken', place), { code: 'NFKIT_BAD_JOURNAL', hint: /delete the file/ })
  t.match(await Mirror.remove('one', place), [])
  t.notOk(readdirSync(join(journal, readdirSync(journal).find((name) => name !== 'lock')!)).some((name) => name.startsWith('.')), 'leftovers of writing are gone')
  t.equal(statSync(join(journal, 'lock')).mode & 0o777, 0o600)

  // Of a namespace that had the number before, or of another boot.
  for (const change of [{ cookie: '1' }, { boot: 'another' }]) {
    writeJournal(journal, netns, 'stale', encodeRecord(record(netns, { name: 'stale', namespace: { ...identify(netns), ...change } })))
    if (identify(netns).cookie === null && 'cookie' in change) continue
    t.throws(() => Mirror.open('stale', place), { code: 'NFKIT_NO_SUCH_MIRROR' })
    t.notOk(Mirror.list(place).some(({ name }) => name === 'stale'))
  }
})

t.test('journals of namespaces that are gone are removed, others are not', async (t) => {
  const here = namespace(t)
  const journal = journalDirectory(t)
  const place = { netns: here, journal }
  const left = () => readdirSync(journal).filter((name) => name !== 'lock').length
  // Held by a descriptor, by a process; and one of another boot, which had another device.
  const held = Netns.create()
  const living = Netns.create()
  for (const ns of [held, living]) for (const content of [encodeRecord(record(ns)), 'broken']) writeJournal(journal, ns, content === 'broken' ? 'broken' : 'one', content)
  mkdirSync(join(journal, '999999-4026531840'))
  writeFileSync(join(journal, '999999-4026531840', 'one.json'), 'anything')
  mkdirSync(join(journal, 'of-somebody'))
  const sleeper = spawn('nsenter', [`--net=${living.path}`, 'sleep', '1000'])
  t.teardown(() => { sleeper.kill('SIGKILL') })
  const { inode } = identify(living)
  while (readlinkSync(`/proc/${sleeper.pid}/ns/net`) !== `net:[${inode}]`) await new Promise((resolve) => setTimeout(resolve, 10))
  living.close()
  t.same(Mirror.list(place), [])
  t.equal(left(), 4, 'no lock, so nobody ever changed a mirror')
  await t.rejects(Mirror.remove('one', place), { code: 'NFKIT_NO_SUCH_MIRROR' })
  t.equal(left(), 3, 'that of another boot went')
  t.match(Mirror.list({ ...place, netns: held }), [{ name: 'broken' }, { name: 'one' }])
  held.close()
  const ended = once(sleeper, 'exit')
  sleeper.kill('SIGKILL')
  await ended
  t.same(Mirror.list(place), [])
  t.equal(left(), seesAllProcesses() ? 1 : 3)
  t.ok(readdirSync(journal).includes('of-somebody'))
})

t.test('a directory that others can write in is not used', { skip: process.geteuid!() !== 0 && 'needs root' }, async (t) => {
  const netns = namespace(t)
  const parent = journalDirectory(t)
  const open = join(parent, 'open')
  mkdirSync(open)
  run(netns, 'chmod', '0777', open)
  await t.rejects(Mirror.remove('one', { netns, journal: open }), { code: 'NFKIT_JOURNAL_UNSAFE' })
  const link = join(parent, 'link')
  symlinkSync(open, link)
  await t.rejects(Mirror.remove('one', { netns, journal: link }), { code: 'NFKIT_JOURNAL_UNSAFE' })
})

t.test('steps that need no module are undone from a journal, once and again', async (t) => {
  const netns = namespace(t)
  const journal = journalDirectory(t)
  const before = run(netns, 'sh', '-c', 'ip -j link; ip -d rule; ip route show table all')
  const { index: link } = Link.get('eth5', { netns })
  const table = FIRST_NUMBER
  const rules = Rule.list({ netns, family: 'ipv4' }).filter(({ priority }) => priority === 0)
  run(netns, 'sh', '-ec', `ip link set eth5 arp off; ip route add default dev eth5 table ${table}; ip rule add pref 0 fwmark ${table} table ${table}`)
  const whole = record(netns, {
    steps: [{ kind: 'arp', link, port: 'eth5' }, { kind: 'route', family: 'ipv4', table, link, port: 'eth5' }, { kind: 'rule', family: 'ipv4', mark: table, table }, { kind: 'behind', family: 'ipv4', rules }],
  })
  writeJournal(journal, netns, 'one', encodeRecord(whole))
  t.same((await Mirror.remove('one', { netns, journal })).map(({ result }) => result), ['undone', 'undone', 'undone', 'undone'])
  t.equal(run(netns, 'sh', '-c', 'ip -j link; ip -d rule; ip route show table all'), before)
  writeJournal(journal, netns, 'one', encodeRecord(whole))
  t.same((await Mirror.remove('one', { netns, journal })).map(({ result }) => result), ['undone', 'gone', 'gone', 'gone'])
  t.equal(run(netns, 'sh', '-c', 'ip -j link; ip -d rule; ip route show table all'), before)
})

t.test('a port that is set down loses its routes, and nothing leaves elsewhere until they are repaired', async (t) => {
  const netns = namespace(t)
  const place = { netns, journal: journalDirectory(t) }
  process.env['NFKIT_MIRROR_DIR'] = place.journal
  t.teardown(() => { delete process.env['NFKIT_MIRROR_DIR'] })
  const { index: link } = Link.get('eth5', { netns })
  const table = FIRST_NUMBER
  const FAMILIES = ['ipv4', 'ipv6'] as const
  const look = () => run(netns, 'sh', '-c', `ip -4 route show table ${table}; ip -6 route show table ${table}`)
  // Where they would go.
  run(netns, 'sh', '-ec', 'ip link set lo up; ip link add other type veth peer name end; ip link set other up; ip link set end up; ip route add default dev other; ip -6 route add default dev other')
  const way = (family: string) => tryRun(netns, 'ip', family, 'route', 'get', family === '-4' ? '10.1.1.1' : 'fd77::1', 'mark', String(table))
  const everything = () => run(netns, 'sh', '-c', `ip -d rule; ip -6 -d rule; ip -4 route show table all; ip -6 route show table ${table} || :`)
  const before = everything()
  const steps = FAMILIES.flatMap((family) => [
    { kind: 'blackhole', family, table }, { kind: 'route', family, table, link, port: 'eth5' }, { kind: 'rule', family, mark: table, table },
  ] as const)
  const context = { netns: { netns }, record: record(netns), others: [], lock: 'off' } as const
  for (const step of steps) await applyStep(step, context)
  writeJournal(place.journal, netns, 'one', encodeRecord(record(netns, { steps })))
  const mirror = Mirror.open('one', place)
  t.teardown(() => mirror.close())
  const whole = look()
  t.match(whole, /^default dev eth5 .*\nblackhole default .*metric 4294967295 \ndefault dev eth5 .*metric 1024 .*\nblackhole default dev lo .*metric 4294967295 /)
  for (const family of ['-4', '-6']) t.match(way(family), { status: 0, stdout: /dev eth5/ })
  t.same(await mirror.repair(), [], 'nothing is missing')
  t.equal(look(), whole)

  run(netns, 'ip', 'link', 'set', 'eth5', 'down')
  t.notMatch(look(), /eth5/)
  for (const family of ['-4', '-6']) t.match(way(family), { status: 2, stdout: '', stderr: /Invalid argument|unreachable/ })
  await t.rejects(mirror.repair(), { code: 'ENETDOWN' })
  run(netns, 'ip', 'link', 'set', 'eth5', 'up')
  waitUntilUp(netns, 'eth5')
  t.notMatch(look(), /eth5/, 'the kernel does not bring them back')
  t.match(await nfkit(netns, ['mirror', 'repair', 'one']), {
    status: 0, stdout: `put back: ipv4 default route to eth5 in table ${table}\nput back: ipv6 default route to eth5 in table ${table}\n`,
  })
  t.equal(look(), whole)

  run(netns, 'sh', '-ec', 'ip link set lo down; ip link set lo up')
  t.same(await mirror.repair(), [`ipv6 blackhole in table ${table}, behind the route`])
  t.equal(look(), whole)
  run(netns, 'ip', 'link', 'set', 'eth5', 'down')
  t.same((await mirror.remove()).map(({ result }) => result), ['undone', 'gone', 'undone', 'undone', 'gone', 'undone'])
  t.equal(everything(), before)
})

t.test('the command line', async (t) => {
  const netns = namespace(t)
  process.env['NFKIT_MIRROR_DIR'] = journalDirectory(t)
  t.teardown(() => { delete process.env['NFKIT_MIRROR_DIR'] })
  t.match(await nfkit(netns, ['mirror', 'list']), { status: 0, stdout: '', stderr: '' })
  t.match(await nfkit(netns, ['mirror', 'list', '--json']), { status: 0, stdout: '[]\n' })
  t.match(await nfkit(netns, ['mirror', 'show', 'one']), { status: 1, stderr: /NFKIT_NO_SUCH_MIRROR/ })
  t.match(await nfkit(netns, ['mirror', 'remove', 'one']), { status: 1, stderr: /NFKIT_NO_SUCH_MIRROR/ })
  t.match(await nfkit(netns, ['mirror', 'remove']), { status: 2, stderr: /either NAME or --abandoned/ })
  t.match(await nfkit(netns, ['mirror', 'add', '--to', 'eth5']), { status: 2, stderr: /--from or --at is missing/ })
  t.match(await nfkit(netns, ['mirror', 'add', '--via', 'reroute', '--from', 'PREROUTING', '--to', 'eth5']), { status: 2, stderr: /expected INPUT, FORWARD, OUTPUT or POSTROUTING/ })
  for (const [args, message] of [
    [['--at', 'ingress', '--to', 'eth5'], /--in is missing: the name of a device/], [['--at', 'nowhere', '--to', 'eth5'], /--at: expected prerouting, /],
    [['--at', 'forward', '--from', 'FORWARD', '--to', 'eth5'], /either a rule or a hook point/], [['--from', 'FORWARD', '--in', 'eth0', '--to', 'eth5'], /--in: only with --at/],
    [['--at', 'forward', '--match', '{', '--to', 'eth5'], /--match: expected JSON/], [['--from', 'FORWARD', '--to', 'eth5/colour=red'], /--to: expected names with commas/],
    [['--from', 'FORWARD', '--to', 'eth5', '--mark', '5'], /--mark: expected --via reroute/], [['--from', 'FORWARD', '--to', 'eth5', '--snaplen', 'x'], /--snaplen: expected a whole number/],
  ] as const) t.match(await nfkit(netns, ['mirror', 'add', ...args]), { status: 2, stderr: message }, args.join(' '))
  t.match(await nfkit(netns, ['mirror', 'watch', 'one']), { status: 1, stderr: /NFKIT_NO_SUCH_MIRROR/ })
  t.match(await nfkit(netns, ['mirror', 'watch', '--interval', '0.01']), { status: 2, stderr: /--interval: expected 0\.1 to 3600/ })
  writeJournal(process.env['NFKIT_MIRROR_DIR'], netns, 'one', encodeRecord(record(netns)))
  t.match((await nfkit(netns, ['mirror', 'list'])).stdout, /^NAME +STATE +FROM +TO +VIA .*\none +up +INPUT -p tcp +eth5 +reroute 0xc10e001 .*nobody$/m)
  t.match((await nfkit(netns, ['mirror', 'show', 'one'])).stdout, /^one\n {2}state +up\n {2}from +INPUT -p tcp\n/)
  t.match(await nfkit(netns, ['mirror', 'remove', '--abandoned', '--json']), { status: 0, stdout: '[{"name":"one","steps":[]}]\n' })
  t.match(await nfkit(netns, ['mirror', 'list']), { stdout: '' })
})
