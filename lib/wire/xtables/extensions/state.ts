// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, type Bit, type Not, property } from '../property.js'
import { nameSet } from '../types.js'
import {
  CONNTRACK_SIZES, type ConntrackState, INVERT_FLAGS, MATCH_FLAGS, STATE_MASK, STATE_ORDER, STATES, XT_CONNTRACK_STATE, XT_CONNTRACK_STATE_ALIAS,
} from './conntrack.js'

/** `-m state`: to the kernel a conntrack match with a mark that it was written as `state` (include/uapi/linux/netfilter/xt_conntrack.h). */
export interface StateMatch {
  /** SNAT and DNAT are for `conntrack` only. UNTRACKED needs revision 2. Bits without a name are a number. */
  states: (Exclude<ConntrackState, 'SNAT' | 'DNAT'> | number)[] | Not<(Exclude<ConntrackState, 'SNAT' | 'DNAT'> | number)[]>
}

declare module '../extension.js' {
  interface Matches { state: StateMatch }
}

const { SNAT: _snat, DNAT: _dnat, ...OWN } = STATES
const options = { abbreviated: true, order: STATE_ORDER.filter((name) => name in OWN) }
const both = XT_CONNTRACK_STATE | XT_CONNTRACK_STATE_ALIAS
const present: Bit = { get: () => true, set: (p) => p.setU16(MATCH_FLAGS, both) }

for (const revision of [3, 2, 1] as const) {
  const type = nameSet({ offset: STATE_MASK, width: revision === 1 ? 1 : 2 }, OWN, options)
  registerExtension({
    kind: 'match', name: 'state', wireName: 'conntrack', revision, size: CONNTRACK_SIZES[revision],
    // With anything beside it, it is no longer what -m state can say.
    recognises: (p) => p.u16(MATCH_FLAGS) === both && (p.u16(INVERT_FLAGS) & ~XT_CONNTRACK_STATE) === 0,
    properties: [
      property({ key: 'states', options: ['--state'], type, present, invert: bit(INVERT_FLAGS, XT_CONNTRACK_STATE, 2), mandatory: true }),
    ],
  })
}

// struct xt_state_info of kernels before 2.6.22, still read: no conntrack, and UNTRACKED is bit 6 (include/uapi/linux/netfilter/xt_state.h).
registerExtension({
  kind: 'match', name: 'state', revision: 0, size: 4,
  properties: [
    property({ key: 'states', options: ['--state'], type: nameSet({ offset: 0, width: 4 }, { ...OWN, UNTRACKED: 64 }, options), mandatory: true }),
  ],
})
