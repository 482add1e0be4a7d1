// SPDX-License-Identifier: MIT
// The first act: a transparent bridge, what it learns, and its spanning tree.

import { setTimeout as sleep } from 'node:timers/promises'
import type { BridgePort, CamChange, CamEntry, StpStatus } from 'nfkit'
import type { Host } from 'nfkit/lab'
import { type Act, ADDRESS, AGEING_TIME, BRIDGE, macOf, type Network } from './network.js'
import { type Cell, duration, type Printer, seconds, size, type Style, timer } from './print.js'

export const bridging: Act = {
  title: 'A transparent bridge',
  async run(network, out) {
    topology(network, out)
    await untilForwarding(network, out)
    await conversations(network, out)
    camTable(network, out)
    spanningTree(network, out)
    counters(network, out)
  },
}

const right = (title: string) => ({ title, align: 'right' as const })
const styled = (named: readonly { name: string }[], style: Style) => Object.fromEntries(named.map(({ name }) => [name, style]))
const inState = (state: string, text = state): Cell => [text, state === 'forwarding' ? 'green' : 'yellow']

function topology({ box, bridge, hosts, added }: Network, out: Printer): void {
  out.section('The network')
  const ports = bridge.ports()
  const width = 19
  const across = (text: (host: Host, i: number) => string) => hosts.map((host, i) => text(host, i).padEnd(width)).join('')
  const inner = width * hosts.length - 3
  const head = `${box.name}: bridge ${BRIDGE}, ${ADDRESS}, ${bridge.status().mac}`
  const border = '+' + '-'.repeat(inner) + '+'
  out.drawing([
    border,
    `|${` ${head}`.padEnd(inner)}|`,
    `|${' '.repeat(inner)}|`,
    `|${across((_, i) => ` ${ports[i]?.name ?? ''}`).slice(0, inner)}|`,
    `+${hosts.map(() => '--+').join('-'.repeat(width - 3)).padEnd(inner, '-')}+`,
    across(() => '   |'),
    across(() => '   | wire'),
    across(() => '   |'),
    across(({ name }) => `  ${name}`),
    across((host) => `  ${host.address()}`),
    across((host) => `  ${macOf(host)}`),
  ], { [box.name]: 'bold', [BRIDGE]: 'cyan', ...styled(ports, 'cyan'), ...styled(hosts, 'bold') })
  out.line()
  for (const { port, wasUp, wasPromiscuous, addressesDropped } of added) {
    const changes = [wasUp ? 'was up' : 'brought up', wasPromiscuous ? 'was promiscuous' : 'made promiscuous']
    if (addressesDropped.length > 0) changes.push(`lost ${addressesDropped.map(({ address }) => address).join(', ')}`)
    out.note(`${port} joined ${BRIDGE}: ${changes.join(', ')}`)
  }
}

async function untilForwarding({ bridge }: Network, out: Printer): Promise<void> {
  const { forwardDelay } = bridge.status().stp
  out.section(`The spanning tree lets nobody speak for ${seconds(2 * forwardDelay)}`)
  const start = performance.now()
  const show = (ports: readonly BridgePort[]) => out.table(
    [{ title: '', align: 'right' }, ...ports.map(() => ({ title: '' }))],
    [[seconds((performance.now() - start) / 1000), ...ports.map(({ name, state }) => inState(state, `${name} ${state}`))]],
  )
  const watch = bridge.watch({ signal: AbortSignal.timeout(Math.ceil(forwardDelay * 2000 + 5000)) })
  const together = (ports: readonly BridgePort[]) => (ports.every(({ state }) => state === ports[0]?.state) ? ports[0]?.state : undefined)
  let ports = bridge.ports()
  let shown = together(ports)
  show(ports)
  while (shown !== 'forwarding') {
    const { done } = await watch.next()
    if (done === true) throw new Error(`${BRIDGE} is gone`)
    // The ports change one after the other, within a moment.
    ports = bridge.ports()
    const state = together(ports)
    if (state === undefined || state === shown) continue
    shown = state
    show(ports)
  }
  await watch.return!()
}

async function conversations({ lab, bridge, hosts }: Network, out: Printer): Promise<void> {
  out.section('The hosts talk, and the CAM table grows')
  const known = bridge.cam.entries()
  out.note(`before: ${known.length} entries, ${known.filter(({ isLocal }) => isLocal).length} of them the box's own`)
  out.line()
  const controller = new AbortController()
  const watch = bridge.cam.watch({ signal: controller.signal })
  const news: CamChange[] = []
  const watching = (async () => { for await (const change of watch) news.push(change) })().catch(() => {})
  const [a, b, c, d] = hosts as [Host, Host, Host, Host]
  const report = async (text: string) => {
    // Notifications come by another thread; in a moment they are here.
    await sleep(30)
    out.line(`   ${text}`)
    for (const change of news.splice(0)) out.line(`       ${changeText(change, hosts, out)}`)
  }
  const pinged = async (from: Host, to: Host | string) => {
    const { received, sent, rtts } = await from.ping(to, { count: 3, interval: 10, timeout: 2000 })
    if (received === 0) throw new Error(`${from.name} got no answer from ${typeof to === 'string' ? to : to.name}`)
    const name = typeof to === 'string' ? `${to} (the bridge itself)` : `${to.name} at ${to.address()}`
    await report(`${from.name} pings ${name}: ${received} of ${sent} replies, ${rtts.map(duration).join(', ')}`)
  }
  const sent = async (from: Host, to: Host, protocol: 'tcp' | 'udp', bytes: number) => {
    const { outcome, bytesReceived, duration: took, port } = await lab.flow({ from, to, protocol, bytes, port: 8080 })
    if (protocol === 'tcp' && outcome !== 'completed') throw new Error(`${from.name} could not send to ${to.name}: ${outcome}`)
    const what = `${size(bytes)} to ${to.name}, ${protocol} port ${port}`
    await report(`${from.name} sends ${what}: ${outcome}, ${size(bytesReceived)} in ${duration(took)}`)
  }
  try {
    await pinged(a, b)
    await pinged(c, ADDRESS.replace(/\/.*/, ''))
    await sent(d, a, 'tcp', 1_000_000)
    await sent(b, c, 'tcp', 1_000_000)
    await sent(c, d, 'udp', 100_000)
    bridge.cam.add({ mac: '02:00:5e:10:00:99', port: 'eth3', state: 'static' })
    await report('an entry set by hand: bridge.cam.add({ mac, port: \'eth3\', state: \'static\' })')
    const refused = await lab.flow({ from: a, to: d, port: 23, listen: false })
    await report(`${a.name} tries TCP port 23 of ${d.name}, where nobody listens: ${refused.outcome} (${refused.code})`)
  } finally {
    controller.abort()
    await watching
  }
}

function changeText(change: CamChange, hosts: readonly Host[], out: Printer): string {
  if (change.type === 'overrun') return out.paint('red', 'some changes were lost')
  const { type, entry } = change
  const what = type === 'moved' ? `moved from ${change.from}` : type
  const whose = ownerOf(entry, hosts)
  const sign = type === 'removed' || type === 'aged' ? '-' : '+'
  return out.paint(type === 'learned' || type === 'added' ? 'green' : 'yellow', `${sign} ${entry.mac}  ${entry.port}  ${what}`) +
    out.paint('dim', `${vlanText(entry, '  vlan ')}${whose === '' ? '' : `  (${whose})`}`)
}

/** A kernel with VLAN filtering keeps what is set by hand for the ports' VLAN, too, although the bridge does not filter. */
const vlanText = ({ vlan }: CamEntry, before = ''): string => (vlan === null ? '' : `${before}${vlan}`)

/** Whose address it is. */
function ownerOf(entry: CamEntry, hosts: readonly Host[]): string {
  return hosts.find((host) => macOf(host) === entry.mac)?.name ?? (entry.isLocal ? 'the box' : '')
}

function camTable({ bridge, hosts }: Network, out: Printer): void {
  out.section('The CAM table now')
  const entries = bridge.cam.entries().sort((x, y) => (x.port < y.port ? -1 : x.port > y.port ? 1 : Number(y.isLocal) - Number(x.isLocal)))
  const tagged = entries.some(({ vlan }) => vlan !== null)
  out.table(
    [
      { title: 'MAC' }, { title: 'PORT' }, ...(tagged ? [right('VLAN')] : []), { title: 'STATE' }, { title: 'LOCAL' }, right('AGE'),
      { title: 'WHOSE' },
    ],
    entries.map((entry): Cell[] => [
      entry.mac, [entry.port, 'cyan'], ...(tagged ? [vlanText(entry) || '-'] : []), [entry.state, STYLES[entry.state]],
      entry.isLocal ? 'yes' : 'no', entry.state === 'learned' && entry.age !== null ? seconds(entry.age) : '-', ownerOf(entry, hosts),
    ]),
  )
  const { ageingTime, stp } = bridge.status()
  out.line()
  out.note(`learned addresses go when they were not seen for ${seconds(AGEING_TIME)}; static and permanent ones do not age`)
  if (stp.topologyChange) out.note(`while the change of topology is announced, it is ${seconds(ageingTime)}: twice the forward delay`)
}

const STYLES: Readonly<Record<CamEntry['state'], Style>> = { learned: 'green', stale: 'yellow', static: 'yellow', permanent: 'dim' }

const idText = ({ priority, mac }: { priority: number; mac: string }): string => `${priority.toString(16).padStart(4, '0')}.${mac}`
const yesNo = (value: boolean): string => (value ? 'yes' : 'no')

function spanningTree({ bridge }: Network, out: Printer): void {
  out.section('The spanning tree and every timer')
  const { stp, ageingTime, groupAddress } = bridge.status()
  out.pairs([
    ['bridge id', idText(stp.bridgeId)],
    ['designated root', idText(stp.designatedRoot)],
    ['root path cost', String(stp.rootPathCost)],
    ['root port', stp.rootPort === 0 ? 'none: this is the root' : String(stp.rootPort)],
    ['topology change', yesNo(stp.topologyChange)],
    ['ageing time', seconds(ageingTime)],
    ['spanning tree', stp.enabled ? `on, by ${stp.mode}` : 'off'],
    ['priority', String(stp.priority)],
    ['group address', groupAddress],
    ['this is the root', yesNo(stp.isRoot)],
    ['detected here', yesNo(stp.topologyChangeDetected)],
  ])
  out.line()
  const times = (name: string, key: 'maxAge' | 'helloTime' | 'forwardDelay'): Cell[] =>
    [[name, 'dim'], seconds(stp[key]), seconds(stp.root[key])]
  out.table([{ title: '' }, { title: 'OWN', align: 'right' }, { title: 'ROOT\'S', align: 'right' }],
    [times('max age', 'maxAge'), times('hello time', 'helloTime'), times('forward delay', 'forwardDelay')])
  out.line()
  timers(stp, out)
  out.line()
  out.table(
    [
      { title: 'PORT' }, right('ID'), { title: 'STATE' }, right('PRIORITY'), right('COST'), { title: 'DESIGNATED BRIDGE' },
      right('ITS PORT'), right('ITS COST'),
    ],
    bridge.ports().map((port): Cell[] => [
      [port.name, 'cyan'], port.id.toString(16), inState(port.state), String(port.priority), String(port.cost),
      idText(port.designatedBridge), port.designatedPort.toString(16), String(port.designatedCost),
    ]),
  )
  out.line()
  out.table(
    [{ title: 'PORT' }, right('MESSAGE AGE'), right('FORWARD DELAY'), right('HOLD'), { title: 'CHANGE ACK' }, { title: 'CONFIG PENDING' }],
    bridge.ports().map(({ name, timers: left, topologyChangeAck, configPending }): Cell[] => [
      [name, 'cyan'], timer(left.messageAge), timer(left.forwardDelay), timer(left.hold), yesNo(topologyChangeAck), yesNo(configPending),
    ]),
  )
}

function timers({ timers: left }: StpStatus, out: Printer): void {
  out.table(
    [{ title: 'TIMER' }, { title: 'FIRES IN', align: 'right' }, { title: '' }],
    [
      [['hello', 'dim'], timer(left.hello), ['the next BPDU of the root', 'dim']],
      [['tcn', 'dim'], timer(left.tcn), ['topology change notification', 'dim']],
      [['topology change', 'dim'], timer(left.topologyChange), ['end of the announcement of a change', 'dim']],
      [['gc', 'dim'], timer(left.gc), ['the next search for aged addresses', 'dim']],
    ],
  )
}

function counters({ box, bridge }: Network, out: Printer): void {
  out.section('What went through the ports')
  out.table(
    [{ title: 'PORT' }, right('FRAMES IN'), right('BYTES IN'), right('FRAMES OUT'), right('BYTES OUT'), right('DROPPED')],
    bridge.ports().map(({ name }): Cell[] => {
      const { rxPackets, rxBytes, txPackets, txBytes, rxDropped, txDropped } = box.statistics(name)
      return [[name, 'cyan'], String(rxPackets), size(rxBytes), String(txPackets), size(txBytes), String(rxDropped + txDropped)]
    }),
  )
}
