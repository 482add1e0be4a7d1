// SPDX-License-Identifier: MIT
// A capture of what really goes to the box itself, as a file that Wireshark opens: shown by tshark if it is there, else by this program.

import { spawnSync } from 'node:child_process'
import { createWriteStream, statSync } from 'node:fs'
import { join } from 'node:path'
import { Capture, type CapturedPacket } from 'nfkit'
import { decodeIpv4, decodeUdp } from 'nfkit/lab'
import type { ModuleAct, ModuleNetwork } from './module-network.js'
import { type Cell, type Printer, size } from './print.js'

const FROM = { chain: 'INPUT', match: { protocol: 'udp' } } as const
const SNAPLEN = 96
const PORT = 5000
/** Bytes of a datagram. */
const DATAGRAM = 100

export const capturing: ModuleAct = {
  title: 'A capture of packets to the box',
  async run(network, out) {
    const { box, journal } = network
    out.section('UDP that comes to the chain INPUT')
    const file = join(journal, 'box.pcapng')
    const hasTshark = spawnSync('tshark', ['--version']).status === 0
    const capture = Capture.open({ from: FROM, snaplen: SNAPLEN, netns: box.netns })
    const shown = hasTshark ? undefined : Capture.open({ from: FROM, snaplen: SNAPLEN, netns: box.netns })
    out.line(`   Capture.open({ from: { chain: 'INPUT', match: { protocol: 'udp' } }, snaplen: ${SNAPLEN} }).pipe(createWriteStream('box.pcapng'))`)
    const stream = createWriteStream(file)
    const written = capture.pipe(stream)
    const packets = shown === undefined ? undefined : collect(shown)
    await talk(network, out)
    capture.stop()
    shown?.stop()
    const { captured, lost } = await written
    await new Promise<void>((resolve) => { stream.end(resolve) })
    out.note(`box.pcapng: ${captured} packets, ${lost} lost, ${size(statSync(file).size)}`)
    out.line()
    if (packets === undefined) tshark(file, out)
    else print(await packets, out)
  },
}

/** The datagrams to the server pass the box, and are not for it. */
async function talk({ lab, client, server, box }: ModuleNetwork, out: Printer): Promise<void> {
  for (const [to, note] of [[box, ''], [server, '; forwarded, so not captured']] as const) {
    const { outcome, bytesReceived } = await lab.flow({ from: client, to, protocol: 'udp', port: PORT, bytes: 3 * DATAGRAM, size: DATAGRAM, timeout: 30_000 })
    out.line(`   client sends 3 datagrams to ${to.name}: ${outcome}, ${bytesReceived} bytes arrived${note}`)
  }
}

async function collect(capture: Capture): Promise<CapturedPacket[]> {
  const packets: CapturedPacket[] = []
  for await (const batch of capture) packets.push(...batch)
  return packets
}

function tshark(file: string, out: Printer): void {
  out.line(`   tshark -r box.pcapng`)
  const { stdout } = spawnSync('tshark', ['-r', file], { encoding: 'utf8' })
  for (const line of stdout.trimEnd().split('\n')) out.line(`   ${line}`)
}

function print(packets: readonly CapturedPacket[], out: Printer): void {
  const rows = packets.map((packet): Cell[] => {
    const ipv4 = decodeIpv4(packet.link === 'EN10MB' ? packet.data.subarray(14) : packet.data)
    const udp = decodeUdp(ipv4.payload)
    return [packet.in?.name ?? '', `${ipv4.source}:${udp.sourcePort}`, `${ipv4.destination}:${udp.destinationPort}`, String(packet.wireLength), String(packet.data.length)]
  })
  out.table([{ title: 'in' }, { title: 'from' }, { title: 'to' }, { title: 'length', align: 'right' }, { title: 'kept', align: 'right' }], rows)
}
