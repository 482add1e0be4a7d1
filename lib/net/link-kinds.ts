// SPDX-License-Identifier: MIT
// The types of link kinds, one entry each. Users add their own by declaration merging.

import type { BridgeAttributes } from '../wire/link-kinds/bridge.js'
import type { MacvlanAttributes } from '../wire/link-kinds/macvlan.js'
import type { VlanAttributes } from '../wire/link-kinds/vlan.js'
import type { LinkRef } from './link-ref.js'
import type { PeerSpec } from './link-request.js'

/** Of a kind: what `Link.add` takes beside the general fields, and what is reported as `kindData`. */
export interface LinkKind<Spec extends object = object, Data = undefined> {
  spec: Spec
  data: Data
}

/**
 * Every kind that `Link.add` makes. A kind that nfkit has no table for takes and reports its attributes as bytes; its types
 * come by declaration merging:
 *
 *     declare module 'nfkit' {
 *       interface LinkKinds { wireguard: LinkKind<{ data?: Uint8Array }, Uint8Array> }
 *     }
 */
export interface LinkKinds {
  bridge: LinkKind<{ data?: Partial<BridgeAttributes> }, Partial<BridgeAttributes>>
  dummy: LinkKind
  ifb: LinkKind
  /** `link` is the lower device. */
  macvlan: LinkKind<{ link: LinkRef; data?: Partial<MacvlanAttributes> }, Partial<MacvlanAttributes>>
  veth: LinkKind<{ peer?: PeerSpec }>
  /** `link` is the lower device. */
  vlan: LinkKind<{ link: LinkRef; data: { id: number } & Partial<VlanAttributes> }, Partial<VlanAttributes>>
}
