// SPDX-License-Identifier: MIT

import t, { type Test } from 'tap'
import { Bridge, type BridgeChange, type BridgeOptions, Netns, type Watch } from '../../lib/index.js'
import { batch, run } from '../support/outside.js'

function setup(t: Test, options: BridgeOptions = {}) {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  batch(netns, 'ip', [0, 1].flatMap((i) => [`link add p${i} type veth peer name q${i}`, `link set q${i} up`]))
  return { netns, bridge: Bridge.create('br0', { netns, ...options }) }
}

/** Consumes changes until one is as wanted; answers all until then. */
async function until(watch: Watch<BridgeChange>, wanted: (change: BridgeChange) => boolean): Promise<BridgeChange[]> {
  const seen: BridgeChange[] = []
  for (;;) {
    const { done, value } = await watch.next()
    if (done === true) throw new Error(`ended after ${JSON.stringify(seen)}`)
    seen.push(value)
    if (wanted(value)) return seen
  }
}
const text = (change: BridgeChange) => ('port' in change ? `${change.type} ${change.port.name}${'to' in change ? ` ${change.from} ${change.to}` : ''}` : change.type)

t.test('ports come, change state and settings, and go', async (t) => {
  const { netns, bridge } = setup(t, { stp: { enabled: true, forwardDelay: 2 } })
  const watch = bridge.watch()
  run(netns, 'ip', 'link', 'set', 'p0', 'up', 'master', 'br0')
  const way = (await until(watch, (change) => change.type === 'port-state' && change.to === 'forwarding')).map(text)
  t.ok(way.includes('port-added p0'), way.join())
  const at = (what: string) => way.findIndex((one) => one.includes(what))
  t.ok(at('learning') > at('port-added'), way.join())
  t.ok(way.at(-1)!.endsWith('learning forwarding'), way.join())

  run(netns, 'bridge', 'link', 'set', 'dev', 'p0', 'cost', '77')
  const changed = (await until(watch, ({ type }) => type === 'port-changed')).at(-1)
  t.match(changed, { port: { name: 'p0', cost: 77 }, previous: { name: 'p0', cost: 2 } })
  run(netns, 'ip', 'link', 'set', 'br0', 'type', 'bridge', 'group_fwd_mask', '8')
  const masks = (change: BridgeChange) => change.type === 'changed' && [change.previous.groupForwardMask, change.bridge.groupForwardMask].join()
  t.ok(await until(watch, (change) => masks(change) === '0,8'))
  run(netns, 'ip', 'link', 'set', 'br0', 'type', 'bridge', 'priority', '10')
  t.match((await until(watch, (change) => change.type === 'stp' && change.stp.priority === 10)).at(-1), { stp: { isRoot: true }, previous: { priority: 32768 } })

  run(netns, 'ip', 'link', 'set', 'p0', 'nomaster')
  t.match((await until(watch, ({ type }) => type === 'port-removed')).at(-1), { port: { name: 'p0', cost: 77 } })
  run(netns, 'ip', 'link', 'set', 'p1', 'master', 'br0')
  await until(watch, (change) => change.type === 'port-added' && change.port.name === 'p1')
  run(netns, 'ip', 'link', 'del', 'p1')
  await until(watch, (change) => change.type === 'port-removed' && change.port.name === 'p1')
  run(netns, 'ip', 'link', 'del', 'br0')
  for await (const change of watch) t.not(change.type, 'port-added')
  t.pass('ends when the bridge is deleted')
})

t.test('a watch begins when it is called, keeps to its bridge, and ends by its signal', async (t) => {
  const { netns, bridge } = setup(t)
  batch(netns, 'ip', ['link add br1 up type bridge', 'link set p1 master br1'])
  const controller = new AbortController()
  const watch = bridge.watch({ signal: controller.signal })
  batch(netns, 'ip', ['link set p1 up', 'link set p0 master br0', 'link set p1 type bridge_slave cost 9', 'link set p0 nomaster'])
  const seen = (await until(watch, ({ type }) => type === 'port-removed')).map(text)
  t.notOk(seen.some((one) => one.includes('p1')), seen.join())
  const rest = until(watch, () => false)
  setTimeout(() => controller.abort(), 50)
  await t.rejects(rest, { name: 'AbortError' })
  t.throws(() => bridge.watch({ signal: controller.signal }), { name: 'AbortError' })
  t.throws(() => bridge.watch({ maxQueue: 1 }), { name: /TypeError|RangeError/ })
})

t.test('losses are announced, and made good with resync', async (t) => {
  const { netns, bridge } = setup(t)
  const plain = bridge.watch({ maxQueue: 65536 })
  const resynced = bridge.watch({ maxQueue: 65536, resync: true })
  // More than the queue holds, while nobody consumes: the loop is blocked by the command.
  const churn = Array.from({ length: 100 }, () => ['link set p0 master br0', 'link set p0 nomaster']).flat()
  batch(netns, 'ip', ['link set p1 up master br0', ...churn, 'link set p0 master br0', 'link set p0 type bridge_slave cost 55'])
  const ports = new Map<string, number>()
  const learn = (change: BridgeChange) => {
    if (change.type === 'port-removed') ports.delete(change.port.name)
    else if ('port' in change) ports.set(change.port.name, change.port.cost)
  }
  t.ok(await until(plain, ({ type }) => type === 'overrun'))
  await plain.return!()
  for (const change of await until(resynced, ({ type }) => type === 'overrun')) learn(change)
  run(netns, 'ip', 'link', 'set', 'p1', 'nomaster')
  for (const change of await until(resynced, (change) => change.type === 'port-removed' && change.port.name === 'p1')) learn(change)
  t.same([...ports], [['p0', 55]])
  t.same(bridge.ports().map(({ name, cost }) => [name, cost]), [['p0', 55]])
  await resynced.return!()
})
