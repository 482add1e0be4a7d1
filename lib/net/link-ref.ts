// SPDX-License-Identifier: MIT
// Naming a link: by name or by index.

import { invalidArgument, outOfRange } from '../errors.js'
import { rtm } from '../netlink/route.js'
import type { NetlinkSocket } from '../netlink/socket.js'
import type { NetnsLike } from '../netns.js'
import { checkInterfaceName } from '../wire/attributes.js'
import { decodeLink, encodeLink, type LinkMessage, type LinkRequest, linkShape, RTEXT_FILTER } from '../wire/link.js'

/** Which namespace a call is about: this process's own unless told. */
export interface NetnsOption {
  netns?: NetnsLike | undefined
}

/** A link by name or index. */
export type LinkRef = string | number

/** Throws unless `ref` can name a link. @internal */
export function checkLinkRef(ref: unknown, name = 'link'): asserts ref is LinkRef {
  if (typeof ref === 'number') {
    if (!Number.isInteger(ref) || ref < 1 || ref > 0x7fffffff) throw outOfRange(name, 'a name or an index from 1 to 2147483647', ref)
  } else if (typeof ref === 'string') checkInterfaceName(ref, name)
  else throw invalidArgument(name, 'a name or an index', ref)
}

/**
 * The index of a link; a number is taken as it is.
 * @throws NfkitError ENODEV when no link has that name
 * @internal
 */
export function resolveIndex(socket: NetlinkSocket, ref: LinkRef): number {
  checkLinkRef(ref)
  return typeof ref === 'number' ? ref : getMessage(socket, ref).index
}

/**
 * One link as its message; counters only when asked for.
 * @throws NfkitError ENODEV
 * @internal
 */
export function getMessage(socket: NetlinkSocket, ref: LinkRef, { statistics = false }: { statistics?: boolean } = {}): LinkMessage {
  checkLinkRef(ref)
  const request: LinkRequest = typeof ref === 'number' ? { index: ref } : { attributes: { name: ref } }
  if (!statistics) request.extendedMask = RTEXT_FILTER.skipStats
  return socket.get(
    rtm('RTM_GETLINK', { write: (w) => encodeLink(w, request), doing: `looking up link ${ref}`, shape: linkShape }),
    decodeLink,
  )
}
