// SPDX-License-Identifier: MIT
// Rules with CLONE whose bytes the test decides, put into a table by SET_REPLACE.

import type { Host } from '../../lib/lab/index.js'
import { XtablesSocket } from '../../lib/sockopt/xtables.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { entryLayouts } from '../../lib/wire/xtables/entry.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import { assembleTable } from '../../lib/wire/xtables/assemble.js'
import { spliceRules, TableImage } from '../../lib/wire/xtables/table.js'
import { systemNames, wordsOf } from './xtables.js'

/** struct xt_clone_info_v1 (kmod/uapi/xt_CLONE.h) */
export const INFO_V1_SIZE = 144
const DEVICES = 4
const NAME = 16

/** The struct for devices. */
export function devicesInfo(names: readonly string[]): Uint8Array {
  const info = new Uint8Array(INFO_V1_SIZE)
  info[0] = 1
  for (const [i, name] of names.entries()) info.set(new TextEncoder().encode(name), DEVICES + i * NAME)
  return info
}

/** Puts a rule `MATCHES -j CLONE` with this revision and struct before the others of a chain. */
export function insertClone(host: Host, family: IpFamily, table: string, chain: string, matches: string, revision: number, data: Uint8Array): void {
  const layout = entryLayouts[family]
  const rule = parseRule(wordsOf(`${matches} -j CLONE --mark 5`.trim()), { family, resolver: systemNames, isChain: () => false }).rules[0]!
  const target = new DataView(rule.bytes.buffer, rule.bytes.byteOffset).getUint16(layout.targetOffset, true)
  const bytes = new Uint8Array(target + 32 + data.length)
  bytes.set(rule.bytes.subarray(0, target + 32))
  bytes.set(data, target + 32)
  const view = new DataView(bytes.buffer)
  view.setUint16(layout.nextOffset, bytes.length, true)
  view.setUint16(target, 32 + data.length, true)
  view.setUint8(target + 31, revision)
  const socket = XtablesSocket.open(family, host.netns.fd)
  try {
    const info = socket.info(table)
    const image = new TableImage(family, info, socket.entries(info)!)
    spliceRules(image.chains.find(({ name }) => name === chain)!, 0, 0, [{ ...rule, bytes }])
    socket.replace(table, assembleTable(image, image.chains), info.entries)
  } finally {
    socket.close()
  }
}
