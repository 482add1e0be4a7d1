// SPDX-License-Identifier: MIT
// The third act: the mirror port. Two hosts talk through the box, and a monitor at a third port of it gets copies. Needs the kernel
// module, so it is a program of its own (mirror-main.ts) that runs where that can be loaded.

import { Mirror } from 'nfkit'
import { type CapturedFrame, type Host, Lab } from 'nfkit/lab'
import type { Printer } from './print.js'

export const TITLE = 'The mirror port'

const MONITORED = 80
/** How many copies are shown of those that came. */
const SHOWN = 12

/** Runs the act on a network of its own, with its journals in a directory of its own. */
export async function mirroring(out: Printer, journal: string): Promise<void> {
  const lab = await Lab.create()
  try {
    const client = lab.host('client', { ipv6: false })
    const server = lab.host('server', { ipv6: false })
    // Nobody has an address there, and nothing is sent unasked: what comes is copies.
    const monitor = lab.host('monitor', { ipv6: false })
    const box = lab.box('box', { ipv6: false, forwarding: true })
    lab.wire({ host: box, name: 'eth0', addresses: ['10.0.1.1/24'] }, { host: client, name: 'eth0', addresses: ['10.0.1.2/24'] })
    lab.wire({ host: box, name: 'eth1', addresses: ['10.0.2.1/24'] }, { host: server, name: 'eth0', addresses: ['10.0.2.2/24'] })
    lab.wire({ host: box, name: 'eth5' }, { host: monitor, name: 'eth0' })
    client.addRoute({ destination: 'default', gateway: '10.0.1.1' })
    server.addRoute({ destination: 'default', gateway: '10.0.2.1' })
    await show({ lab, client, server, monitor, box }, out, journal)
  } finally {
    lab.close()
  }
}

interface Network { lab: Lab; client: Host; server: Host; monitor: Host; box: Host }

async function show({ lab, client, server, monitor, box }: Network, out: Printer, journal: string): Promise<void> {
  out.section('A box that forwards, and a monitor at its mirror port')
  out.drawing([
    '+--------+ eth0 +-------+ eth1 +--------+',
    '| client |------|  box  |------| server |',
    '+--------+      +-------+      +--------+',
    '10.0.1.2            | eth5      10.0.2.2',
    '               +---------+',
    '               | monitor |',
    '               +---------+',
  ], { client: 'bold', server: 'bold', monitor: 'bold', box: 'bold', eth0: 'cyan', eth1: 'cyan', eth5: 'cyan' })

  out.section(`Copies of TCP to and from port ${MONITORED}, whatever else there is`)
  const rules = [`FORWARD -p tcp --dport ${MONITORED}`, `FORWARD -p tcp --sport ${MONITORED}`]
  const mirrors: Mirror[] = []
  for (const from of rules) {
    const mirror = await Mirror.create({ from, to: 'eth5', via: 'reroute', netns: box.netns, journal })
    mirrors.push(mirror)
    out.line(`   Mirror.create({ from: '${from}', to: 'eth5', via: 'reroute' })`)
    for (const step of mirror.info().steps ?? []) out.note(`   ${step}`)
  }

  out.section('The hosts talk, and the monitor listens')
  const frames: CapturedFrame[] = []
  const watch = monitor.capture('eth0', { promiscuous: true, direction: 'in' })
  const listening = (async () => { for await (const item of watch) if (item.type === 'frame') frames.push(item) })()
  try {
    const { received } = await client.ping(server, { count: 2, interval: 10, timeout: 5000 })
    out.line(`   client pings server: ${received} replies; not copied, it is no TCP`)
    for (const [port, bytes] of [[443, 10_000], [MONITORED, 4000]] as const) {
      const { outcome, bytesReceived } = await lab.flow({ from: client, to: server, protocol: 'tcp', port, bytes, timeout: 30_000 })
      out.line(`   client sends ${bytes} bytes to server, tcp port ${port}: ${outcome}, ${bytesReceived} arrived${port === MONITORED ? '' : '; not copied'}`)
    }
    const sent = () => mirrors.reduce((sum, mirror) => sum + mirror.stats().sent, 0)
    // The last segments of a connection follow when it is over; then copies come as long as there are some.
    for (let before = -1, tries = 0; tries < 300 && (frames.length < sent() || sent() !== before); tries++) {
      before = sent()
      await new Promise((resolve) => { setTimeout(resolve, 20) })
    }
  } finally {
    await watch.return!()
    await listening
  }
  out.line()
  out.note(`what came to the monitor, ${frames.length} packets${frames.length > SHOWN ? `, the first ${SHOWN} of them` : ''}:`)
  out.line()
  out.table(
    [{ title: 'from' }, { title: 'to' }, { title: 'flags' }, { title: 'IP length', align: 'right' }, { title: 'data', align: 'right' }],
    frames.slice(0, SHOWN).map(rowOf),
  )
  out.line()
  out.table([{ title: 'mirror' }, { title: 'matched', align: 'right' }, { title: 'copies sent', align: 'right' }, { title: 'lost', align: 'right' }],
    mirrors.map((mirror) => {
      const { seen, sent, lost } = mirror.stats()
      return [mirror.name, String(seen), String(sent), String(Object.values(lost).reduce((sum, count) => sum + count, 0))]
    }))

  out.section('Everything as before')
  for (const mirror of mirrors) {
    await mirror.close()
    out.note(`${mirror.name} is closed: its rule, policy rule, route and table are gone`)
  }
  const { arp } = box.interfaces().find(({ name }) => name === 'eth5')!
  out.note(`ARP on eth5 is ${arp ? 'on' : 'off'} again`)
}

function rowOf({ packet }: CapturedFrame): string[] {
  const { ipv4, tcp } = packet ?? {}
  if (ipv4 === undefined || tcp === undefined) return ['another packet', '', '', '', '']
  return [
    `${ipv4.source}:${tcp.sourcePort}`, `${ipv4.destination}:${tcp.destinationPort}`, tcp.flags.join(' '), String(ipv4.totalLength), String(tcp.payload.length),
  ]
}
