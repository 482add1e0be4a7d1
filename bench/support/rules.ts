// SPDX-License-Identifier: MIT
// A filter table of mixed rules, as text and in the kernel of this process's namespace.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { XtablesSocket } from '../../lib/sockopt/xtables.js'
import { type AssembledTable, assembleTable } from '../../lib/wire/xtables/assemble.js'
import { TableImage } from '../../lib/wire/xtables/table.js'

export const TABLE = 'filter'

/** Rule number `n` behind `-A CHAIN`: addresses differ in all, ports, marks and the like recur, comments never. */
export function ruleText(n: number): string {
  const ip = `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`
  switch (n % 8) {
    case 0: return `-s ${ip}/32 -p tcp -m tcp --dport ${1024 + (n % 5000)} -j ACCEPT`
    case 1: return `-d ${ip}/32 -i eth${n % 16} -p udp -m udp --sport 53 -j DROP`
    case 2: return `-s ${ip}/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`
    case 3: return `-s 10.0.0.0/8 -d ${ip}/32 -p tcp -m multiport --dports 80,443,${8000 + (n % 1000)} -j ACCEPT`
    case 4: return `-s ${ip}/32 -m comment --comment "rule number ${n}" -j REJECT --reject-with icmp-port-unreachable`
    case 5: return `-s ${ip}/32 -o eth${n % 16} -m mark --mark 0x${(n % 256).toString(16)} -j RETURN`
    case 6: return `-s ${ip}/32 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -j LOG --log-prefix "new ${n % 100} "`
    default: return `! -s ${ip}/32 -p udp -m length --length ${n % 100}:1500 -j chain-${String(n % 100).padStart(2, '0')}`
  }
}

/** The text of a table of `size` rules: a tenth in FORWARD, the others in a hundred chains, from which none leads back. */
export function tableText(size: number): string {
  const chains = Array.from({ length: 100 }, (_, i) => `chain-${String(i).padStart(2, '0')}`)
  const lines = [`*${TABLE}`, ':INPUT ACCEPT [0:0]', ':FORWARD DROP [0:0]', ':OUTPUT ACCEPT [0:0]', ...chains.map((name) => `:${name} - [0:0]`), ':log - [0:0]']
  for (let n = 0; n < size; n++) {
    const forward = n < size / 10
    const chain = forward ? 'FORWARD' : chains[Math.floor(((n - size / 10) / size) * 1.11 * 100)]!
    lines.push(`-A ${chain} ${forward ? ruleText(n) : ruleText(n).replace(/-j chain-\d+/, '-j log')}`)
  }
  return [...lines, 'COMMIT', ''].join('\n')
}

/** Files of texts, for programs. */
export class RuleFiles {
  readonly #directory = mkdtempSync(join(tmpdir(), 'nfkit-rules-'))

  write(name: string, text: string): string {
    const file = join(this.#directory, name)
    writeFileSync(file, text)
    return file
  }

  [Symbol.dispose](): void { rmSync(this.#directory, { recursive: true }) }
}

/** The system calls alone. */
export class BareTables {
  readonly #socket = XtablesSocket.open('ipv4')

  /** GET_INFO and GET_ENTRIES. */
  read(): TableImage {
    const info = this.#socket.info(TABLE)
    return new TableImage('ipv4', info, this.#socket.entries(info)!)
  }

  /** The same, and nothing is looked at. */
  get(): number {
    return this.#socket.entries(this.#socket.info(TABLE))!.length
  }

  /** A table as SET_REPLACE takes it. */
  prepare(): AssembledTable {
    const image = this.read()
    return assembleTable(image, image.chains)
  }

  /** GET_INFO and SET_REPLACE; answers the old counters. */
  replace(assembled: AssembledTable): Uint8Array {
    return this.#socket.replace(TABLE, assembled, this.#socket.info(TABLE).entries)!
  }

  addCounters(assembled: AssembledTable, old: Uint8Array): void {
    this.#socket.addCounters(TABLE, assembled, old)
  }

  [Symbol.dispose](): void { this.#socket.close() }
}
