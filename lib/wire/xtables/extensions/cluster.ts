// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { bit, integer, type Not, property, type PropertyType, requireInteger, requireUnsigned, spelling } from '../property.js'

/** `-m cluster` (xt_cluster_match_info, include/uapi/linux/netfilter/xt_cluster.h): which node of a cluster handles a flow. */
export interface ClusterMatch {
  /** The nodes that match, one bit each, the first node's is 1; below 2 to the power of the number of nodes. */
  nodeMask: number | Not<number>
  /** 1 to 32. */
  totalNodes: number
  /** Seed of the hash over the source address of the flow's original direction, 0 to 4294967295. */
  hashSeed: number
}

declare module '../extension.js' {
  interface Matches { cluster: ClusterMatch }
}

const hex8 = (value: number) => `0x${value.toString(16).padStart(8, '0')}`
const withHex8 = (offset: number, type: PropertyType<number>): PropertyType<number> => ({ ...type, print: (p) => hex8(p.u32(offset)) })
const inverted = bit(12, 1, 4)

const nodeMask: PropertyType<number> = {
  ...withHex8(4, integer({ offset: 4, width: 4, min: 1 })),
  encode(p, value, name) {
    requireInteger(value, name, 1, 0xffffffff)
    p.setU32(4, value)
  },
}

function check(p: Payload): void {
  const [total, mask] = [p.u32(0), p.u32(4)]
  if (mask >= 2 ** total) throw new RuleError(`cluster: the nodes ${hex8(mask)} are more than the ${total} of the cluster`)
}

registerExtension({
  kind: 'match', name: 'cluster', revision: 0, size: 16, check,
  properties: [
    // iptables reads masks up to 32 only, not what it prints for the sixth node; here every mask is read.
    property({ key: 'nodeMask', options: ['--cluster-local-nodemask'], type: nodeMask, invert: inverted, mandatory: true }),
    property({
      key: 'nodeMask', options: ['--cluster-local-node'], alias: true, invert: inverted,
      type: spelling((p, text, option) => p.setU32(4, 2 ** (requireUnsigned(text, option, 1, 32) - 1))),
    }),
    property({ key: 'totalNodes', options: ['--cluster-total-nodes'], type: integer({ offset: 0, width: 4, min: 1, max: 32 }), mandatory: true }),
    property({ key: 'hashSeed', options: ['--cluster-hash-seed'], type: withHex8(8, integer({ offset: 8, width: 4 })), mandatory: true }),
  ],
})
