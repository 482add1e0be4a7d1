// SPDX-License-Identifier: MIT
// A match asked of a packet's bytes, without a program.

import { applies, isBehindHeaders } from './field.js'
import type { PacketView } from './packet-view.js'
import type { Tree } from './tree.js'

/** Whether a packet matches; undefined when that depends on what is behind more extension headers than are walked. */
export function evaluate(tree: Tree, packet: PacketView): boolean | undefined {
  switch (tree.kind) {
    case 'constant': return tree.value
    case 'not': {
      const result = evaluate(tree.child, packet)
      return result === undefined ? undefined : !result
    }
    case 'field': {
      const { field, value } = tree
      if (!applies(field, value, packet)) return false
      if (packet.ip?.longChain === true && isBehindHeaders(field.layer(value))) return undefined
      const protocols = field.protocols?.(value)
      if (protocols !== undefined && !(packet.ip?.protocol !== undefined && protocols.includes(packet.ip.protocol))) return false
      return field.test(value, packet)
    }
    default: {
      const decisive = tree.kind === 'or'
      let result: boolean | undefined = !decisive
      for (const child of tree.children) {
        const one = evaluate(child, packet)
        if (one === decisive) return decisive
        if (one === undefined) result = undefined
      }
      return result
    }
  }
}
