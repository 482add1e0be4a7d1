// SPDX-License-Identifier: MIT
// The devices that hooks name, as they come, go and take other names; the order of hooks among themselves and with the rules of iptables.

import t from 'tap'
import { Link } from '../../lib/index.js'
import type { HookPoint } from '../../lib/wire/module/hook-points.js'
import { hookAt, hookLab, programOf, PORT, statsOf, Stream, WAYS } from '../support/hooks.js'
import { noModule, until, withModule } from '../support/module.js'
import { run, tryRun } from '../support/outside.js'
import { filter } from '../support/lab.js'
import { listed } from '../support/packet-rules.js'

withModule(t)

const N = 5
const OWNED = { persistent: false, create: false }

t.test('in, out, physIn and physOut', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { box, device } = net
  if (tryRun(box.netns, 'modprobe', 'br_netfilter').status !== 0 && tryRun(box.netns, 'test', '-e', '/proc/sys/net/bridge/bridge-nf-call-iptables').status !== 0) t.comment('br_netfilter is not here')
  const bridged = tryRun(box.netns, 'sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=1').status === 0
  type Devices = Partial<Record<'in' | 'out' | 'physIn' | 'physOut', string>>
  const asked: [HookPoint, Devices, Devices, boolean?][] = [
    ['prerouting', { in: 'eth0' }, { in: 'eth1' }],
    ['local-in', { in: 'eth0' }, { in: 'lo' }],
    ['forward', { in: 'eth0', out: 'eth1' }, { in: 'eth0', out: 'eth0' }],
    ['forward', { out: 'eth1' }, { in: 'eth1' }],
    ['local-out', { out: 'eth1' }, { out: 'eth0' }],
    ['postrouting', { out: 'eth1' }, { out: 'absent' }],
    ['bridge-prerouting', { in: 'eth3' }, { in: 'br0' }],
    ['bridge-local-in', { in: 'eth3' }, { in: 'br0' }],
    ['bridge-forward', { in: 'eth3', out: 'eth4' }, { in: 'eth4', out: 'eth3' }],
    ['bridge-local-out', { out: 'eth4' }, { out: 'br0' }],
    ['bridge-postrouting', { out: 'eth4' }, { out: 'eth3' }],
    // With br_netfilter bridged packets meet the points of IP, coming from the bridge and going to it.
    ['prerouting', { in: 'br0', physIn: 'eth3' }, { in: 'br0', physIn: 'eth4' }, true],
    ['forward', { in: 'br0', out: 'br0', physIn: 'eth3', physOut: 'eth4' }, { in: 'br0', out: 'br0', physIn: 'eth3', physOut: 'eth3' }, true],
    ['postrouting', { out: 'br0', physOut: 'eth4' }, { physOut: 'eth3' }, true],
    ['forward', {}, { physIn: 'eth0' }],
  ]
  for (const [at, right, wrong, bridge = false] of asked) {
    if (bridge && !bridged) continue
    const stream = await Stream.open(net, WAYS[bridge ? 'bridge-forward' : at], 'ipv4')
    device.setHook('right', hookAt(at, 'ipv4', right), OWNED)
    device.setHook('wrong', hookAt(at, 'ipv4', wrong), OWNED)
    t.equal(await stream.pass(N, N), N)
    t.match(statsOf(device, 'right'), { matched: N, accepted: N }, `${at} ${JSON.stringify(right)}${bridge ? ' on a bridge' : ''}`)
    t.equal(device.hook('wrong').matched, 0, `${at} ${JSON.stringify(wrong)}`)
    for (const name of ['right', 'wrong']) device.deleteHook(name)
    stream.close()
  }
})

t.test('a device goes, comes, takes another name, moves to another namespace', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { box, h1, lab, device } = net
  const { netns } = box
  const points = ['forward', 'ingress'] as const
  device.setHook('ingress', hookAt('ingress', 'ipv4', { in: 'up0' }), OWNED)
  device.setHook('forward', hookAt('forward', 'ipv4', { in: 'up0' }), OWNED)
  // Its packets are counted by one hook of each kind, or by none.
  let expected = 0
  const pass = async (met: boolean, what: string) => {
    const stream = await Stream.open(net, WAYS.forward, 'ipv4')
    t.equal(await stream.pass(N, N), N)
    stream.close()
    if (met) expected += N
    for (const point of points) t.equal(device.hook(point).matched, expected, `${what}: ${point}`)
  }
  await pass(false, 'there is none of the name')
  run(netns, 'ip', 'link', 'set', 'eth0', 'down')
  run(netns, 'ip', 'link', 'set', 'eth0', 'name', 'up0', 'up')
  await until(() => Link.get('up0', { netns }).operationalState === 'up')
  await pass(true, 'renamed to it')
  run(netns, 'ip', 'link', 'set', 'up0', 'down')
  run(netns, 'ip', 'link', 'set', 'up0', 'name', 'other', 'up')
  await until(() => Link.get('other', { netns }).operationalState === 'up')
  await pass(false, 'renamed away')
  Link.delete('other', { netns })
  const again = () => {
    lab.wire({ host: box, name: 'up0', addresses: ['192.168.1.254/24', 'fd01::fe/64'] }, { host: h1, name: 'eth0', addresses: ['192.168.1.1/24', 'fd01::1/64'] })
    h1.addRoute({ destination: 'default', gateway: '192.168.1.254' })
    h1.addRoute({ destination: '::/0', gateway: 'fd01::fe' })
  }
  again()
  await pass(true, 'made anew')
  for (let i = 0; i < 3; i++) {
    Link.delete('up0', { netns })
    again()
  }
  await pass(true, 'and again')
  run(netns, 'ip', 'link', 'set', 'up0', 'netns', String(process.pid))
  run(netns, 'ip', 'link', 'add', 'up0', 'type', 'dummy')
  device.setHook('ingress', hookAt('ingress', 'ipv4', { in: 'other' }), OWNED)
  t.match(device.hook('ingress'), { in: 'other', matched: expected }, 'its counters went on')
  device.deleteHook('ingress')
  device.deleteHook('forward')
  t.same(device.hookNames(), [])
  Link.delete('up0')
})

t.test('priorities, among hooks and with rules', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { box, device } = net
  for (const family of ['ipv4', 'ipv6'] as const) {
    const stream = await Stream.open(net, WAYS.forward, family)
    const to = `-p udp --dport ${PORT}`
    for (const mark of [1, 2, 3]) filter(box, family, `-A FORWARD ${to} -m mark --mark ${mark}`)
    const mark = (value: number) => ({ value, mask: 0xffffffff })
    const marked = (value: number) => programOf({ family, protocol: 'udp', destinationPort: PORT, mark: value })
    const put = (name: string, priority: number, changes: Parameters<typeof hookAt>[2]) => device.setHook(name, hookAt('forward', family, { priority, ...changes }), OWNED)
    // Made in another order than they are met; the table filter is at 0.
    put('third', 10, { program: marked(2), mark: mark(3) })
    put('first', -200, { mark: mark(1) })
    put('second', -10, { program: marked(1), mark: mark(2) })
    put('last', 2_147_483_647, { program: marked(3), verdict: 'drop' })
    t.equal(await stream.pass(N, 0), 0, `${family}: the last one drops what the third has marked`)
    t.same(['first', 'second', 'third', 'last'].map((name) => device.hook(name).matched), [N, N, N, N])
    t.same(listed(box.netns, family, 'filter', 'FORWARD').slice(0, 3), [0, N, 0], 'the rules see what the second has made of it')
    put('third', -300, { program: marked(0), mark: mark(9) })
    put('first', 10, { program: marked(9), mark: mark(3) })
    t.equal(await stream.pass(N, 0), 0, `${family}: in another order`)
    t.same(['first', 'second', 'third', 'last'].map((name) => device.hook(name).matched), [2 * N, N, 2 * N, 2 * N], 'counters go on')
    t.same(listed(box.netns, family, 'filter', 'FORWARD').slice(0, 3), [0, N, 0])
    for (const name of device.hookNames()) device.deleteHook(name)
    t.equal(await stream.pass(N, N), N, `${family}: without hooks`)
    stream.close()
  }
})
