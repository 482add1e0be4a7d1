// SPDX-License-Identifier: MIT
// Adds static entries one at a time, with a pause between them, and tells when each was sent. Straight to the kernel:
// the time before the system call and after it is not the watcher's.

import { setTimeout as sleep } from 'node:timers/promises'
import { Link } from '../../lib/index.js'
import { rtm } from '../../lib/netlink/route.js'
import { NetlinkSocket } from '../../lib/netlink/socket.js'
import { encodeFdb, NTF, NUD } from '../../lib/wire/fdb.js'
import { parseMac } from '../../lib/wire/mac.js'
import { NLM_F_CREATE, NLM_F_EXCL } from '../../lib/wire/netlink.js'
import { NETLINK_ROUTE } from '../../lib/wire/rtnetlink.js'
import { now } from '../support/now.js'
import { answer } from './answer.js'

export interface SendRequest { readonly macs: readonly string[]; readonly port: string }
/** Milliseconds of `now()`. */
export interface SendAnswer { readonly sent: readonly number[] }

const socket = NetlinkSocket.open(NETLINK_ROUTE)

await answer(async ({ macs, port }: SendRequest): Promise<SendAnswer> => {
  const { index } = Link.get(port)
  const sent: number[] = []
  for (const text of macs) {
    await sleep(1)
    const mac = parseMac(text)
    const request = rtm('RTM_NEWNEIGH', {
      flags: NLM_F_CREATE | NLM_F_EXCL, doing: `adding ${text}`,
      write: (w) => encodeFdb(w, { portIndex: index, state: NUD.noArp, flags: NTF.master, mac }),
    })
    sent.push(now())
    socket.request(request)
  }
  return { sent }
})
