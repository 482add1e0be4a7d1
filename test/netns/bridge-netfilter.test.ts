// SPDX-License-Identifier: MIT

import { spawnSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { Bridge, Netns } from '../../lib/index.js'
import { ipJson, run, tryRun } from '../support/outside.js'

function setup(t: Test) {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  return { netns, bridge: Bridge.create('br0', { netns }) }
}

const NAMES = { callIptables: 'call-iptables', callIp6tables: 'call-ip6tables', callArptables: 'call-arptables',
  filterVlanTagged: 'filter-vlan-tagged', filterPppoeTagged: 'filter-pppoe-tagged', passVlanInputDev: 'pass-vlan-input-dev' } as const
/** The namespace's switches as the files say it. */
const files = (netns: Netns) => Object.fromEntries(Object.entries(NAMES).map(([name, file]) => [name, run(netns, 'cat', `/proc/sys/net/bridge/bridge-nf-${file}`).trim() === '1']))

const missing = (() => {
  const netns = Netns.create()
  try {
    return tryRun(netns, 'test', '-e', '/proc/sys/net/bridge/bridge-nf-call-iptables').status === 0 ? false : 'br_netfilter is not loaded here'
  } finally {
    netns.close()
  }
})()
const noIptables = spawnSync('iptables-legacy', ['--version']).status === 0 ? false : 'iptables-legacy is not installed here'

t.test('without br_netfilter every switch says so', { skip: missing === false && 'br_netfilter is here' }, (t) => {
  const { bridge } = setup(t)
  const expected = { code: 'NFKIT_BR_NETFILTER_MISSING', message: /modprobe br_netfilter/ }
  t.throws(() => bridge.netfilter.status(), expected)
  t.throws(() => bridge.netfilter.set({ callIptables: true }), expected)
  t.throws(() => bridge.netfilter.setNamespace({ callIptables: true }), expected)
  t.throws(() => bridge.set({ netfilter: { callArptables: true } }), expected)
  t.end()
})

t.test('switches of the bridge and of its namespace', { skip: missing }, (t) => {
  const { netns, bridge } = setup(t)
  const { netfilter } = bridge
  t.same(netfilter.status().namespace, files(netns))
  netfilter.setNamespace({ callIptables: false, callIp6tables: false, callArptables: false, filterVlanTagged: true, passVlanInputDev: true, filterPppoeTagged: true })
  t.same(files(netns), { callIptables: false, callIp6tables: false, callArptables: false, filterVlanTagged: true, filterPppoeTagged: true, passVlanInputDev: true })
  netfilter.setNamespace({ callIp6tables: true, filterVlanTagged: false })
  t.match(files(netns), { callIptables: false, callIp6tables: true, filterVlanTagged: false, passVlanInputDev: true })
  t.same(netfilter.status().namespace, files(netns))

  netfilter.set({ callIptables: true, callArptables: true })
  t.match(ipJson(netns, 'link', 'show', 'br0')[0].linkinfo.info_data, { nf_call_iptables: 1, nf_call_ip6tables: 0, nf_call_arptables: 1 })
  t.match(netfilter.status(), { callIptables: true, callIp6tables: false, callArptables: true })

  t.throws(() => netfilter.setNamespace({ callIptables: 1 as never }), { name: 'TypeError', message: /callIptables/ })
  t.throws(() => netfilter.setNamespace({ calliptables: true } as never), { name: 'TypeError', message: /calliptables/ })
  t.throws(() => netfilter.set({ filterVlanTagged: true } as never), { name: 'TypeError' })
  t.end()
})

t.test('what the switch is for: bridged frames pass iptables, or do not', { skip: missing || noIptables }, (t) => {
  const { netns, bridge } = setup(t)
  const hosts = ['1', '2'].map((n) => {
    const host = Netns.create()
    t.teardown(() => host.close())
    run(netns, 'sh', '-ec', `ip link add p${n} type veth peer name eth0 netns ${host.path}`)
    run(host, 'sh', '-ec', `ip link set eth0 up; ip addr add 192.168.7.${n}/24 dev eth0`)
    bridge.addPort(`p${n}`)
    return host
  })
  bridge.netfilter.setNamespace({ callIptables: false })
  run(netns, 'iptables-legacy', '-A', 'FORWARD', '-p', 'icmp')
  const seen = () => Number(/^\s*(\d+)/.exec(run(netns, 'iptables-legacy', '-L', 'FORWARD', '-v', '-x', '-n').split('\n')[2]!)![1])
  const ping = () => run(hosts[0]!, 'ping', '-c', '2', '-i', '0.05', '-W', '3', '192.168.7.2')
  ping()
  t.equal(seen(), 0)
  bridge.netfilter.set({ callIptables: true })
  ping()
  t.equal(seen(), 4, 'two requests and two replies')
  bridge.netfilter.set({ callIptables: false })
  ping()
  t.equal(seen(), 4)
  bridge.netfilter.setNamespace({ callIptables: true })
  ping()
  t.equal(seen(), 8)
  t.end()
})
