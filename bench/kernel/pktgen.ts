// SPDX-License-Identifier: MIT
// Packets from the kernel's own generator (Documentation/networking/pktgen.rst): cheaper and more even than any program. It runs on the
// first CPU, and as veth devices hand frames on in softirq, all that becomes of a packet is done there before the next one is sent.

import { readFileSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { BOX_MAC, DESTINATION, type Network, type Path } from './network.js'

const DIRECTORY = '/proc/net/pktgen'
const PORT = 9

const set = (file: string, line: string) => { writeFileSync(`${DIRECTORY}/${file}`, `${line}\n`) }

/** What the generator sends by; it would send by all that it was told of. */
let current = ''

function use(sender: string): void {
  if (current === sender) return
  set('kpktgend_0', 'rem_device_all')
  set('kpktgend_0', `add_device ${sender}`)
  for (const line of [`dst_mac ${BOX_MAC}`, 'src_min 10.1.0.1', 'src_max 10.1.0.1', `udp_dst_min ${PORT}`, `udp_dst_max ${PORT}`, 'clone_skb 0', 'delay 0']) {
    set(sender, line)
  }
  current = sender
}

function configure({ sender }: Network, path: Path, bytes: number, packets: number): void {
  use(sender)
  for (const line of [`dst_min ${DESTINATION[path]}`, `dst_max ${DESTINATION[path]}`, `pkt_size ${bytes}`, `count ${packets}`]) set(sender, line)
}

/** Sends packets, each a frame of so many bytes; answers how many nanoseconds it took. */
export function send(network: Network, path: Path, bytes: number, packets: number): number {
  configure(network, path, bytes, packets)
  set('pgctrl', 'start')
  return taken(network, packets)
}

/** The same in two steps; this process goes on meanwhile. */
export function prepare(network: Network, path: Path, bytes: number, packets: number): () => Promise<number> {
  configure(network, path, bytes, packets)
  return async () => {
    await writeFile(`${DIRECTORY}/pgctrl`, 'start\n')
    return taken(network, packets)
  }
}

function taken({ sender }: Network, packets: number): number {
  const text = readFileSync(`${DIRECTORY}/${sender}`, 'utf8')
  const result = /^Result: OK: (\d+)\(c\d+\+d\d+\) usec, (\d+) /m.exec(text)
  const errors = /errors: (\d+)/.exec(text)
  if (result === null || Number(result[2]) !== packets || errors === null || errors[1] !== '0') throw new Error(`pktgen did not send ${packets} packets:\n${text}`)
  return Number(result[1]) * 1000
}
