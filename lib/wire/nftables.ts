// SPDX-License-Identifier: MIT
// As much of nf_tables (include/uapi/linux/netfilter/nf_tables.h, nfnetlink.h) as it takes to say that its rules exist: they
// are beside the legacy tables, and packets pass both.

import { type Input } from './bytes.js'
import { forEachAttribute, type NetlinkMessage, text } from './netlink.js'

export const NETLINK_NETFILTER = 12
const NFNL_SUBSYS_NFTABLES = 10
/** sizeof struct nfgenmsg. */
export const NFGENMSG = 4

/** Message types: the subsystem and NFT_MSG_GETTABLE, NFT_MSG_GETRULE. */
export const NFT_GETTABLE = (NFNL_SUBSYS_NFTABLES << 8) | 1
export const NFT_GETRULE = (NFNL_SUBSYS_NFTABLES << 8) | 7

/** NFTA_TABLE_NAME, NFTA_RULE_TABLE. */
const TABLE = 1

/** The families of nft by their numbers (NFPROTO_*). */
const FAMILIES: Readonly<Record<number, string>> = { 1: 'inet', 2: 'ip', 3: 'arp', 5: 'netdev', 7: 'bridge', 10: 'ip6' }

/** The table that a message is about, as nft writes it: `ip filter`. */
export function nftTableOf(input: Input, msg: NetlinkMessage): string | undefined {
  if (msg.end - msg.start < NFGENMSG) return undefined
  const family = input.bytes[msg.start]!
  let name: string | undefined
  forEachAttribute(input, msg.start + NFGENMSG, msg.end, (type, start, end) => {
    if (type === TABLE) name = text(input.bytes, start, end)
  })
  return name === undefined ? undefined : `${FAMILIES[family] ?? family} ${name}`
}
