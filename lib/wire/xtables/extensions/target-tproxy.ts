// SPDX-License-Identifier: MIT

import type { IpFamily } from '../../ip.js'
import { registerExtension } from '../extension.js'
import { host } from '../address.js'
import { withMask } from '../marks.js'
import { integer, type Masked, property, type PropertyType } from '../property.js'
import { parseServicePort } from '../types.js'

/**
 * `-j TPROXY` revision 1 (xt_tproxy_target_info_v1, include/uapi/linux/netfilter/xt_TPROXY.h): hands the packet to a local socket
 * as it is. Needs the protocol tcp or udp; only in the mangle table, in PREROUTING.
 */
export interface TproxyTarget {
  /** Port of the socket, 0 for the packet's own. */
  port: number
  /** Address of the socket; that of the incoming interface unless told. */
  address?: string
  /** The packet's mark: a number, or the bits of the mask are cleared first and the value is exclusive-ored. */
  mark?: Masked
}

declare module '../extension.js' {
  interface Targets { TPROXY: TproxyTarget }
}

function register(revision: 0 | 1, family: IpFamily): void {
  const PORT = revision === 0 ? 12 : 24
  const number = integer({ offset: PORT, width: 2, bigEndian: true })
  const port: PropertyType<number> = { ...number, parse: (p, text, option, ctx) => p.setBe16(PORT, parseServicePort(text, option, ctx)) }
  registerExtension({
    kind: 'target', name: 'TPROXY', revision, family, size: revision === 0 ? 16 : 28, protocols: [6, 17], tables: ['mangle'], hooks: ['PREROUTING'],
    properties: [
      property({ key: 'port', options: ['--on-port'], type: port, mandatory: true }),
      property({ key: 'address', options: ['--on-ip'], type: host(8, family) }),
      property({ key: 'mark', options: ['--tproxy-mark'], type: withMask({ value: { offset: 4, width: 4 }, mask: { offset: 0, width: 4 } }) }),
    ],
  })
}

register(1, 'ipv4')
register(1, 'ipv6')
register(0, 'ipv4')
