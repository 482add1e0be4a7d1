// SPDX-License-Identifier: MIT

import { type Hook, registerExtension, requireHook } from '../extension.js'
import { bit, type Masked, type Not, property } from '../property.js'
import { namedMask } from '../types.js'

/** Number of a group of interfaces, its bits and mask, or a name of /etc/iproute2/group. Read as a number. */
export type DeviceGroup = Masked | string

/** `-m devgroup` (xt_devgroup_info, include/uapi/linux/netfilter/xt_devgroup.h): `ip link set ... group`. At least one must be there. */
export interface DevgroupMatch {
  /** Of the interface that the packet came in by: PREROUTING, INPUT and FORWARD only. */
  sourceGroup?: DeviceGroup | Not<DeviceGroup>
  /** Of the interface that it leaves by: FORWARD, OUTPUT and POSTROUTING only. */
  destinationGroup?: DeviceGroup | Not<DeviceGroup>
}

declare module '../extension.js' {
  interface Matches { devgroup: DevgroupMatch }
}

const IN_HOOKS: readonly Hook[] = ['PREROUTING', 'INPUT', 'FORWARD']
const OUT_HOOKS: readonly Hook[] = ['FORWARD', 'OUTPUT', 'POSTROUTING']
const group = (offset: number) => namedMask({ offset, width: 4 }, { offset: offset + 4, width: 4 }, '/etc/iproute2/group')

registerExtension({
  kind: 'match', name: 'devgroup', revision: 0, size: 20, oneOf: ['sourceGroup', 'destinationGroup'],
  check(_p, seen, ctx) {
    if (seen.has('sourceGroup')) requireHook('devgroup: --src-group', IN_HOOKS, ctx)
    if (seen.has('destinationGroup')) requireHook('devgroup: --dst-group', OUT_HOOKS, ctx)
  },
  properties: [
    property({ key: 'sourceGroup', options: ['--src-group'], type: group(4), present: bit(0, 1, 4), invert: bit(0, 2, 4) }),
    property({ key: 'destinationGroup', options: ['--dst-group'], type: group(12), present: bit(0, 4, 4), invert: bit(0, 8, 4) }),
  ],
})
