// SPDX-License-Identifier: MIT
// The bridge that benchmarks measure on, made from outside with iproute2, in the namespace of this process.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Bridge } from '../../lib/index.js'

const NAME = 'br0'
const PORTS = 4

/** The address with number `n`, locally administered. */
export function macOf(n: number): string {
  return `02:00:${[24, 16, 8, 0].map((shift) => ((n >>> shift) & 255).toString(16).padStart(2, '0')).join(':')}`
}

export const portOf = (n: number): string => `p${n % PORTS}`

/** Static entries `from` to `to - 1`, for `cam.add`. */
export function specs(from: number, to: number): { mac: string; port: string }[] {
  return Array.from({ length: to - from }, (_, i) => ({ mac: macOf(from + i), port: portOf(from + i) }))
}

/** A bridge with four ports, and files for bridge(8). */
export class BenchBridge {
  readonly directory = mkdtempSync(join(tmpdir(), 'nfkit-bench-'))
  readonly name = NAME
  readonly bridge: Bridge

  constructor() {
    // Without IPv6 nobody talks, and the table holds what is put there.
    writeFileSync('/proc/sys/net/ipv6/conf/default/disable_ipv6', '1')
    // More than one port, or the kernel would put each static address into the port's own list too (br_manage_promisc).
    execFileSync('sh', ['-ec', `ip link add ${NAME} type bridge; ip link set ${NAME} up
      for i in $(seq 0 ${PORTS - 1}); do ip link add p$i type veth peer name q$i; ip link set p$i up master ${NAME}; ip link set q$i up; done`])
    this.bridge = Bridge.open(NAME)
  }

  /** A file for `bridge -b` that adds static entries `from` to `to - 1`. */
  batchFile(from: number, to: number): string {
    const file = join(this.directory, `add-${from}-${to}`)
    writeFileSync(file, specs(from, to).map(({ mac, port }) => `fdb add ${mac} dev ${port} master static\n`).join(''))
    return file
  }

  /** Adds static entries from outside. */
  fill(from: number, to: number): void {
    execFileSync('bridge', ['-b', this.batchFile(from, to)])
  }

  /** Removes every entry but the bridge's own addresses. */
  empty(): void {
    this.bridge.cam.flush({ state: 'all' })
  }

  /** How many entries bridge(8) shows. */
  count(): number {
    return this.show().length
  }

  /** What `bridge -j fdb show` says. */
  show(): any[] {
    return JSON.parse(execFileSync('bridge', ['-j', 'fdb', 'show', 'br', NAME], { encoding: 'utf8', maxBuffer: 1 << 29 }))
  }

  /** The kernel would take the namespace down at leisure, beside whatever is measured next. */
  close(): void {
    rmSync(this.directory, { recursive: true })
    this.empty()
    execFileSync('sh', ['-ec', `for i in $(seq 0 ${PORTS - 1}); do ip link del p$i; done; ip link del ${NAME}`])
  }

  [Symbol.dispose](): void { this.close() }
}
