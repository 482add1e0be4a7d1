// SPDX-License-Identifier: MIT

import { readFileSync } from 'node:fs'
import t from 'tap'
import { Netns, Rule, type RuleInfo, type RuleSpec } from '../../lib/index.js'
import { feed, ipJson, run, tryRun } from '../support/outside.js'
import { until } from '../support/watching.js'

type Test = { teardown(close: () => void): void }

function netns(t: Test): Netns {
  const ns = Netns.create()
  t.teardown(() => ns.close())
  return ns
}

/** The kernel takes ids that the user namespace knows; an ordinary user's knows one (user_namespaces(7)). */
const UIDS: [number, number] = /\s1$/.test(readFileSync('/proc/self/uid_map', 'utf8').trim()) ? [0, 0] : [5, 9]

const show = (ns: Netns, family = '-4'): string[] => run(ns, 'ip', family, 'rule').trim().split('\n').map((line) => line.replace(/\s+/g, ' ').trim())

t.test('rules are added as ip sees them', async (t) => {
  const ns = netns(t)
  const cases: [RuleSpec & { priority: number }, string][] = [
    [{ priority: 100, fwmark: 1, table: 1000 }, '100: from all fwmark 0x1 lookup 1000 proto static'],
    [{ priority: 101, fwmark: 16, fwmask: 0xf0, invert: true, table: 'main' }, '101: not from all fwmark 0x10/0xf0 lookup main proto static'],
    [{ priority: 102, from: '10.0.0.0/8', to: '192.168.0.5', iif: 'lo', oif: 'nobody', tos: 0x10, table: 200, protocol: 'bird' }, '102: from 10.0.0.0/8 to 192.168.0.5 tos 0x10 iif lo oif nobody [detached] lookup 200 proto bird'],
    [{ priority: 103, uidRange: UIDS, ipProtocol: 'tcp', sourcePorts: [1000, 2000], destinationPorts: [80, 80], table: 4294967295 }, `103: from all uidrange ${UIDS.join('-')} ipproto tcp sport 1000-2000 dport 80 lookup 4294967295 proto static`],
    [{ priority: 104, goto: 105 }, '104: from all goto 105 proto static'],
    [{ priority: 105, action: 'nop' }, '105: from all nop proto static'],
    [{ priority: 106, action: 'prohibit', fwmark: 6 }, '106: from all fwmark 0x6 prohibit proto static'],
    [{ priority: 107, action: 'blackhole', ipProtocol: 'esp' }, '107: from all ipproto esp blackhole proto static'],
    [{ priority: 108, action: 'unreachable', tunnelId: 7 }, '108: from all tun_id 7 unreachable proto static'],
    [{ priority: 109, table: 'main', suppressPrefixLength: 0, suppressInterfaceGroup: 3 }, '109: from all lookup main suppress_prefixlength 0 suppress_ifgroup 3 proto static'],
  ]
  for (const [spec, wanted] of cases) {
    const made = Rule.add(spec, { netns: ns })
    const line = show(ns).find((line) => line.startsWith(`${spec.priority}:`))!.replace('goto 105 [unresolved]', 'goto 105')
    t.equal(line, wanted, JSON.stringify(spec))
    const { flags, ...rest } = made
    t.match(rest, spec)
    t.same(Rule.list({ netns: ns }).find(({ priority }) => priority === spec.priority)!.action, made.action)
    t.ok(Array.isArray(flags))
  }
  Rule.add({ priority: 100, from: 'fd00::/8', table: 1000 }, { netns: ns })
  t.ok(show(ns, '-6').includes('100: from fd00::/8 lookup 1000 proto static'))
  const chosen = Rule.add({ fwmark: 9, table: 9 }, { netns: ns })
  t.ok(show(ns).some((line) => line.startsWith(`${chosen.priority}: from all fwmark 0x9`)), 'the priority that the kernel chose')
  Rule.add({ l3mdev: true, priority: 110 }, { netns: ns })
  t.ok(show(ns).some((line) => line.startsWith('110: from all lookup [l3mdev-table]')))
})

t.test('lists hold everything and can be given back', async (t) => {
  const ns = netns(t)
  for (const rule of [
    `not prio 100 fwmark 1/0xff from 10.0.0.0/8 to 10.1.2.3 iif v0 tos 0x10 table 1000 uidrange ${UIDS.join('-')} ipproto tcp sport 80 dport 1-1024 suppress_prefixlength 0 protocol bgp`,
    'prio 101 goto 200', 'prio 102 from 10.0.0.0/8 prohibit',
  ]) run(ns, 'ip', 'rule', 'add', ...rule.split(' '))
  run(ns, 'ip', '-6', 'rule', 'add', 'prio', '103', 'from', 'fd00::/8', 'table', '77')
  const rules = Rule.list({ netns: ns })
  t.same(rules.map(({ family, priority }) => `${family} ${priority}`), ['ipv4 0', 'ipv4 100', 'ipv4 101', 'ipv4 102', 'ipv4 32766', 'ipv4 32767', 'ipv6 0', 'ipv6 103', 'ipv6 32766'])
  t.match(rules[1], {
    action: 'table', table: 1000, invert: true, from: '10.0.0.0/8', to: '10.1.2.3/32', fwmark: 1, fwmask: 255, iif: 'v0', tos: 16, uidRange: UIDS,
    ipProtocol: 'tcp', sourcePorts: [80, 80], destinationPorts: [1, 1024], suppressPrefixLength: 0, protocol: 'bgp', flags: ['iif-detached'],
  })
  t.match(rules[2], { action: 'goto', goto: 200, flags: ['unresolved'] })
  t.match(rules[0], { table: 'local', priority: 0, invert: false })
  t.notOk('suppressPrefixLength' in rules[0]!)
  t.equal(Rule.list({ netns: ns, family: 'ipv6' }).length, 3)
  t.ok(rules.every((rule) => !('unknown' in rule)), 'every attribute has a name')
  t.same(JSON.parse(JSON.stringify(rules)), rules, 'plain objects')
  const mine = rules.filter(({ priority }) => priority > 99 && priority < 200)
  for (const rule of mine) Rule.delete(rule, { netns: ns })
  t.same(show(ns).length, 3)
  for (const rule of mine) Rule.add(rule, { netns: ns })
  t.same(Rule.list({ netns: ns }), rules)
})

t.test('deleted, and refused', async (t) => {
  const ns = netns(t)
  Rule.add({ priority: 100, fwmark: 1, table: 9 }, { netns: ns })
  t.throws(() => Rule.add({ priority: 100, fwmark: 1, table: 9 }, { netns: ns }), { code: 'EEXIST', syscall: 'RTM_NEWRULE', message: /adding rule 100/ })
  t.throws(() => Rule.add({ priority: 200, goto: 150 }, { netns: ns }), { code: 'EINVAL' })
  t.throws(() => Rule.delete({ priority: 101 }, { netns: ns }), { code: 'ENOENT', message: /deleting rule 101/ })
  t.throws(() => Rule.delete({ fwmark: 2 }, { netns: ns }), { code: 'ENOENT' })
  Rule.delete({ fwmark: 1 }, { netns: ns })
  t.equal(show(ns).length, 3)
  t.throws(() => Rule.delete({}, { netns: ns }), { name: 'TypeError', message: /which rule/ })
  t.throws(() => Rule.delete({ family: 'ipv4', invert: false }, { netns: ns }), { name: 'TypeError' })
  t.equal(show(ns).length, 3)
})

t.test('replace leaves one rule of the priority, and never none', async (t) => {
  const ns = netns(t)
  // Not looked at until the end, so that every step of the replacements is there to see.
  const watch = Rule.watch({ netns: ns })
  t.teardown(() => void watch.return!())
  Rule.replace({ priority: 100, table: 9 }, { netns: ns })
  // All of them fit a request to delete the first rule of priority 100 that looks in table 9.
  for (const rule of ['fwmark 5', '', 'protocol 77', 'from 10.0.0.0/8']) run(ns, 'ip', 'rule', 'add', 'prio', '100', ...rule.split(' ').filter(Boolean), 'table', '9')
  run(ns, 'ip', 'rule', 'add', 'not', 'prio', '100', 'fwmark', '3', 'table', '9')
  run(ns, 'ip', 'rule', 'add', 'prio', '101', 'table', '9')
  t.equal(show(ns).filter((line) => line.startsWith('100:')).length, 6)
  const made = Rule.replace({ priority: 100, table: 9, protocol: 'bird' }, { netns: ns })
  t.match(made, { priority: 100, table: 9, protocol: 'bird' })
  t.same(show(ns).filter((line) => /^10[01]:/.test(line)), ['100: from all lookup 9 proto bird', '101: from all lookup 9'])
  Rule.replace({ priority: 100, fwmark: 7, table: 10 }, { netns: ns })
  Rule.replace({ priority: 100, fwmark: 7, table: 10 }, { netns: ns })
  t.same(show(ns).filter((line) => line.startsWith('100:')), ['100: from all fwmark 0x7 lookup 10 proto static'])
  t.throws(() => Rule.replace({ table: 9 } as never, { netns: ns }), { name: 'TypeError', message: /priority/ })
  t.throws(() => Rule.replace({ priority: 100, goto: 50 }, { netns: ns }), { code: 'EINVAL' })
  t.same(show(ns).filter((line) => line.startsWith('100:')), ['100: from all fwmark 0x7 lookup 10 proto static'], 'nothing was changed')
})

t.test('a rule that is about more than another one is not the same', async (t) => {
  // The kernel's own check for existing rules takes it for that (rule_exists with fib4_rule_compare).
  const ns = netns(t)
  Rule.add({ priority: 100, from: '10.0.0.0/8', table: 9 }, { netns: ns })
  Rule.add({ priority: 100, table: 9 }, { netns: ns })
  t.same(show(ns).filter((line) => line.startsWith('100:')), ['100: from 10.0.0.0/8 lookup 9 proto static', '100: from all lookup 9 proto static'])
  t.throws(() => Rule.add({ priority: 100, table: 9 }, { netns: ns }), { code: 'EEXIST' })
  t.throws(() => Rule.add({ priority: 100, from: '10.0.0.0/8', table: 9 }, { netns: ns }), { code: 'EEXIST' })
  const full = { priority: 101, fwmark: 3, ipProtocol: 'udp', sourcePorts: [53, 53], tos: 8, iif: 'lo', invert: true, table: 'main' } as const
  Rule.add({ ...full, sourcePorts: [53, 53] }, { netns: ns })
  t.throws(() => Rule.add({ ...full, sourcePorts: [53, 53] }, { netns: ns }), { code: 'EEXIST' })
  t.equal(show(ns).length, 6)
})

t.test('what the kernel does not know is not passed over', async (t) => {
  // Rules about the DSCP came with Linux 6.13, and with the stable updates of some kernels before it.
  const ns = netns(t)
  run(ns, 'sh', '-ec', 'ip link add v0 type veth peer name v1; ip addr add 10.0.0.1/24 dev v0; ip link set v0 up; ip link set v1 up; ip route add blackhole default table 9')
  const isRuled = (...packet: string[]) => tryRun(ns, 'ip', 'route', 'get', '10.0.0.2', ...packet).status !== 0
  try {
    t.match(Rule.add({ priority: 1, dscp: 2, table: 9 }, { netns: ns }), { priority: 1, dscp: 2, table: 9 })
    t.ok(isRuled('tos', '0x08'), 'a packet of this DSCP')
    t.equal(Rule.list({ netns: ns, family: 'ipv4' }).length, 4)
  } catch (error) {
    // Such a kernel would make a rule about all packets of it.
    t.match(error, { code: 'NFKIT_KERNEL_TOO_OLD', message: /does not know dscp/, attribute: 'dscp' })
    t.equal(show(ns).length, 3, 'no rule was made')
  }
  t.notOk(isRuled(), 'any other packet')
})

t.test('there is always a rule while one is replaced', async (t) => {
  const ns = netns(t)
  run(ns, 'ip', 'rule', 'add', 'prio', '100', 'fwmark', '1', 'table', '9')
  const monitor = Rule.watch({ netns: ns })
  t.teardown(() => void monitor.return!())
  Rule.replace({ priority: 100, fwmark: 2, table: 9 }, { netns: ns })
  const events = await until(monitor, ({ type }) => type === 'removed')
  t.same(events.map((event) => (event.type === 'overrun' ? '' : `${event.type} ${event.rule.fwmark}`)), ['added 2', 'removed 1'], 'the new one came before the old one went')
})

t.test('a watch tells what happens', async (t) => {
  const ns = netns(t)
  const watch = Rule.watch({ netns: ns })
  t.teardown(() => void watch.return!())
  run(ns, 'ip', 'rule', 'add', 'prio', '100', 'table', '9')
  run(ns, 'ip', '-6', 'rule', 'add', 'prio', '101', 'table', '9')
  const first = await until(watch, (event) => event.type === 'added' && event.rule.priority === 101)
  t.same(first.map((event) => (event.type === 'overrun' ? '' : `${event.type} ${event.rule.family} ${event.rule.priority}`)), ['added ipv4 100', 'added ipv6 101'])
  run(ns, 'ip', 'rule', 'add', 'prio', '100', 'fwmark', '1', 'table', '9')
  run(ns, 'ip', 'rule', 'del', 'prio', '100', 'fwmark', '1', 'table', '9')
  run(ns, 'ip', 'rule', 'del', 'prio', '100')
  run(ns, 'ip', '-6', 'rule', 'del', 'prio', '101')
  // A removal lists again, so that the order of what went by then is the list's.
  const known = new Set(['ipv4 100 ', 'ipv6 101 '])
  await until(watch, (event) => {
    if (event.type === 'overrun') return false
    const key = `${event.rule.family} ${event.rule.priority} ${event.rule.fwmark ?? ''}`
    if (event.type === 'removed') known.delete(key)
    else known.add(key)
    return known.size === 0
  })
  t.equal(known.size, 0)
})

t.test('a loss is announced, and made good by resync', async (t) => {
  const ns = netns(t)
  run(ns, 'ip', 'rule', 'add', 'prio', '99', 'table', '9')
  const before = Rule.list({ netns: ns })
  const watch = Rule.watch({ netns: ns, maxQueue: 65536, resync: true })
  t.teardown(() => void watch.return!())
  const some = Array.from({ length: 800 }, (_, i) => `prio ${100 + i} fwmark ${i} table ${i + 1}`)
  feed(ns, [...some.map((rule) => `rule add ${rule}`), ...some.slice(30).map((rule) => `rule del ${rule}`), 'rule del prio 99 table 9'].join('\n'), 'ip', '-batch', '-')
  const events: any[] = await until(watch, ({ type }) => type === 'overrun')
  run(ns, 'ip', 'rule', 'add', 'prio', '5000', 'table', '9')
  events.push(...await until(watch, (event) => event.type === 'added' && event.rule.priority === 5000))
  const line = ({ family, priority, fwmark, table }: RuleInfo) => `${family} ${priority} ${fwmark} ${table}`
  const known = new Set(before.map(line))
  for (const { type, rule } of events) {
    if (type === 'removed') known.delete(line(rule))
    else if (type === 'added') known.add(line(rule))
  }
  t.same([...known].sort(), Rule.list({ netns: ns }).map(line).sort())
  t.equal(Rule.list({ netns: ns, family: 'ipv4' }).length, ipJson(ns, 'rule').length)
})

t.test('wrong arguments are refused before anything is asked', async (t) => {
  const nowhere = { netns: '/no/such/namespace' }
  const spec = { priority: 100, table: 9 }
  const wrong: [object, 'TypeError' | 'RangeError', RegExp][] = [
    [{ priority: 100 }, 'TypeError', /a table, a goto/], [{ priority: 100, action: 'table' }, 'TypeError', /the table to look in/], [{ ...spec, priority: -1 }, 'RangeError', /priority/],
    [{ ...spec, table: 0 }, 'RangeError', /table/], [{ ...spec, from: '10.0.0.0/33' }, 'TypeError', /from|0 to 32/], [{ ...spec, from: '10.0.0.0/8', to: 'fd00::/8' }, 'TypeError', /to: expected an IPv4/],
    [{ ...spec, family: 'ipv6', from: '10.0.0.0/8' }, 'TypeError', /IPv6/], [{ ...spec, iif: 'a name that is too long' }, 'TypeError', /iif/], [{ ...spec, goto: 5 }, 'TypeError', /none beside a table/],
    [{ ...spec, action: 'drop' }, 'TypeError', /blackhole/], [{ ...spec, invert: 'yes' }, 'TypeError', /invert/], [{ ...spec, uidRange: [9, 5] }, 'RangeError', /uidRange\[1\]/],
    [{ ...spec, sourcePorts: [0, 5] }, 'RangeError', /1 to 65534/], [{ ...spec, ipProtocol: 'tpc' }, 'TypeError', /tcp/], [{ ...spec, suppressPrefixLength: 33 }, 'RangeError', /0 to 32/], [{ ...spec, l3mdev: true }, 'TypeError', /none beside l3mdev/],
    [{ ...spec, fwmask: 2 ** 32 }, 'RangeError', /fwmask/], [{ ...spec, flowLabel: 2 ** 20 }, 'RangeError', /flowLabel/], [{ ...spec, mark: 1 }, 'TypeError', /got "mark"/],
  ]
  for (const [value, name, message] of wrong) for (const call of [Rule.add, Rule.replace]) t.throws(() => call(value as never, nowhere), { name, message }, JSON.stringify(value))
  t.throws(() => Rule.list({ ...nowhere, family: 'ip' } as never), { name: 'TypeError' })
  t.throws(() => Rule.delete({ priority: 'x' } as never, nowhere), { name: 'TypeError' })
})
