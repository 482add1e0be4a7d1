// SPDX-License-Identifier: MIT
// The mirror port: two hosts talk through the box, and two monitors get copies, each frame with the MAC header that it came with.

import { CloneTarget, Hook, Mirror } from 'nfkit'
import type { CapturedFrame, Host } from 'nfkit/lab'
import type { ModuleAct, ModuleNetwork } from './module-network.js'
import type { Cell, Printer } from './print.js'

const MONITORED = 80
const VLAN = 900

export const mirroring: ModuleAct = {
  title: 'The mirror port',
  async run(network, out) {
    const { client, server, box, journal } = network
    out.section(`Copies of what is sent to port ${MONITORED}, at two ports`)
    const { target, mirror } = await create(box, journal, out)
    out.section('The hosts talk, and the monitors listen')
    const seen = await talk(network, out, () => mirror.stats().sent)
    out.line()
    out.note('one packet on its way, the same at every place:')
    out.line()
    out.table(
      [{ title: 'seen' }, { title: 'from MAC' }, { title: 'to MAC' }, { title: 'VLAN' }, { title: 'packet' }, { title: 'TTL', align: 'right' }],
      seen.map(({ where, frames }): Cell[] => [where, ...frameCells(frames.find(isRequest), [client, server, box])]),
    )
    out.line()
    out.note('the server got a MAC header from the box; the copies have the one that the box got')
    out.line()
    out.table([{ title: 'port' }, { title: 'copied', align: 'right' }, { title: 'sent', align: 'right' }, { title: 'bytes', align: 'right' }, { title: 'lost', align: 'right' }],
      mirror.stats().outputs.map(({ device, cloned, sent, bytes, lost }) => [device, String(cloned), String(sent), String(bytes), String(Object.values(lost).reduce((sum, count) => sum + count, 0))]))

    out.section('Everything as before')
    await mirror.close()
    const left = [...CloneTarget.list(box.netns), ...Hook.list(box.netns), ...Mirror.list({ netns: box.netns, journal })]
    out.note(`${mirror.name} is closed: its rule and its clone target ${target} are gone, ${left.length} objects are left`)
  },
}

async function create(box: Host, journal: string, out: Printer): Promise<{ mirror: Mirror; target: string }> {
  const from = `FORWARD -p tcp --dport ${MONITORED}`
  const mirror = await Mirror.create({ from, to: ['eth5', { device: 'eth6', vlan: { id: VLAN } }], netns: box.netns, journal })
  out.line(`   Mirror.create({ from: '${from}', to: ['eth5', { device: 'eth6', vlan: { id: ${VLAN} } }] })`)
  for (const step of mirror.info().steps ?? []) out.note(`   ${step}`)
  return { mirror, target: mirror.target! }
}

interface Seen { where: string; frames: CapturedFrame[] }

/** What came to the box from the client, to the server, and to the monitors. */
async function talk({ lab, client, server, box, monitors }: ModuleNetwork, out: Printer, sent: () => number): Promise<Seen[]> {
  const places = [['by the box, at eth0', box, 'eth0'], ['by the server', server, 'eth0'], ['by monitor1', monitors[0], 'eth0'], ['by monitor2', monitors[1], 'eth0']] as const
  const seen: Seen[] = places.map(([where]) => ({ where, frames: [] }))
  const captures = places.map(([, host, device]) => host.capture(device, { promiscuous: true, direction: 'in' }))
  const listening = captures.map(async (watch, i) => { for await (const item of watch) if (item.type === 'frame') seen[i]!.frames.push(item) })
  try {
    const { received } = await client.ping(server, { count: 2, interval: 10, timeout: 5000 })
    out.line(`   client pings server: ${received} replies; not copied, it is no TCP`)
    for (const [port, bytes] of [[443, 10_000], [MONITORED, 4000]] as const) {
      const { outcome, bytesReceived } = await lab.flow({ from: client, to: server, protocol: 'tcp', port, bytes, timeout: 30_000 })
      out.line(`   client sends ${bytes} bytes to server, tcp port ${port}: ${outcome}, ${bytesReceived} arrived${port === MONITORED ? '' : '; not copied'}`)
    }
    // The last segments of a connection follow when it is over; then copies come as long as there are some.
    const copies = () => seen[2]!.frames.length + seen[3]!.frames.length
    for (let before = -1, tries = 0; tries < 300 && (copies() < sent() || sent() !== before); tries++) {
      before = sent()
      await new Promise((resolve) => { setTimeout(resolve, 20) })
    }
  } finally {
    for (const watch of captures) await watch.return!()
    await Promise.all(listening)
  }
  return seen
}

/** The first segment of the connection. */
const isRequest = ({ packet }: CapturedFrame): boolean => packet?.tcp?.destinationPort === MONITORED && packet.tcp.flags.join() === 'syn'

function frameCells(frame: CapturedFrame | undefined, hosts: readonly Host[]): Cell[] {
  const { ethernet, ipv4, tcp } = frame?.packet ?? {}
  if (ethernet === undefined || ipv4 === undefined || tcp === undefined) return ['not seen', '', '', '', '']
  const mac = (address: string) => {
    const owner = hosts.find((host) => host.interfaces().some((link) => link.mac === address))
    return `${address}${owner === undefined ? '' : ` (${owner.name})`}`
  }
  return [
    mac(ethernet.source), mac(ethernet.destination), ethernet.vlans?.map(({ id }) => String(id)).join(' ') ?? '',
    `${ipv4.source} > ${ipv4.destination}:${tcp.destinationPort} ${tcp.flags.join(' ')}`, String(ipv4.ttl),
  ]
}
