// SPDX-License-Identifier: MIT
// A hook of one's own: what the paper wrote a kernel module for, dropping packets of 100 bytes, in one call.

import { Hook } from 'nfkit'
import type { ModuleAct } from './module-network.js'
import type { Cell } from './print.js'

/** Bytes of the IP packet. */
const LENGTH = 100
/** The headers of IPv4 and of an ICMP echo. */
const HEADERS = 20 + 8

export const hooking: ModuleAct = {
  title: 'A hook: packets of 100 bytes',
  async run({ client, box }, out) {
    out.section('Pings of different sizes to the box')
    using hook = Hook.create({ at: 'local-in', match: { length: LENGTH }, verdict: 'drop', netns: box.netns })
    out.line(`   Hook.create({ at: 'local-in', match: { length: ${LENGTH} }, verdict: 'drop' })`)
    out.line()
    const rows: Cell[][] = []
    for (const length of [LENGTH - 1, LENGTH, LENGTH + 1]) {
      const { sent, received } = await client.ping(box.address(), { count: 2, size: length - HEADERS, interval: 10, timeout: length === LENGTH ? 500 : 5000 })
      const { matched } = hook.stats()
      rows.push([String(length), [`${received} of ${sent}`, received === sent ? 'green' : 'red'], String(matched)])
    }
    out.table([{ title: 'bytes', align: 'right' }, { title: 'replies' }, { title: 'matched until then', align: 'right' }], rows)
    const { seen, dropped, bytes } = hook.stats()
    out.line()
    out.note(`the hook saw ${seen} packets and dropped ${dropped} of them, ${bytes} bytes`)
    hook.close()
    const { sent, received } = await client.ping(box.address(), { count: 2, size: LENGTH - HEADERS, interval: 10, timeout: 5000 })
    out.line(`   closed, a ping of ${LENGTH} bytes: ${received} of ${sent} replies`)
  },
}
