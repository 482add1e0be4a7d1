// SPDX-License-Identifier: MIT
// Netlink messages (include/uapi/linux/netlink.h, RFC 3549 section 2): headers, attributes as type-length-value, errors.

import { NfkitError } from '../errors.js'
import { align4, type Input, inputOf, LITTLE_ENDIAN, Writer } from './bytes.js'

export const NLMSG_HEADER = 16
export const NLA_HEADER = 4

/** Control message types. */
export const NLMSG_NOOP = 1
export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3
export const NLMSG_OVERRUN = 4

/** Header flags. */
export const NLM_F_REQUEST = 0x1
export const NLM_F_MULTI = 0x2
export const NLM_F_ACK = 0x4
export const NLM_F_DUMP_INTR = 0x10
export const NLM_F_DUMP_FILTERED = 0x20
export const NLM_F_REPLACE = 0x100
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400
export const NLM_F_APPEND = 0x800
export const NLM_F_DUMP = 0x300
/** Delete requests only (Linux 5.19): flush what matches. */
export const NLM_F_BULK = 0x200
/** Error messages only: the request's payload is not echoed; attributes follow. */
export const NLM_F_CAPPED = 0x100
export const NLM_F_ACK_TLVS = 0x200

const NLA_F_NESTED = 0x8000
const NLA_TYPE_MASK = 0x3fff

/** Where one message lies within received bytes. */
export interface NetlinkMessage {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  readonly port: number
  /** Offset of the payload, after the 16 header bytes. */
  readonly start: number
  /** Offset of the payload's end. */
  readonly end: number
}

/** A netlink attribute that nfkit has no name for: kept as it came, and can be written back. */
export interface RawAttribute {
  /** The type without the nested and byte-order flags. */
  readonly type: number
  readonly data: Uint8Array
}

/** An error acknowledged by the kernel, errno 0 for success. */
export interface NetlinkAck {
  /** Positive errno, 0 for success. */
  readonly errno: number
  /** NLMSGERR_ATTR_MSG: the kernel's own words. */
  readonly message?: string
  /** NLMSGERR_ATTR_OFFS: offset of the refused attribute in the request, header included. */
  readonly offset?: number
  /** NLMSGERR_ATTR_MISS_TYPE (Linux 6.1): type of the attribute that is missing. */
  readonly missingType?: number
}

/** The error of bytes that are not what the protocol says. */
export function malformed(what: string): NfkitError {
  return new NfkitError('EBADMSG', `malformed netlink data: ${what}`)
}

/**
 * Splits bytes into messages.
 * @throws NfkitError EBADMSG when a header or its length does not fit the bytes.
 */
export function* messages(input: Input, length = input.bytes.length): Generator<NetlinkMessage> {
  for (let at = 0; at < length;) {
    const message = messageAt(input, at, length)
    yield message
    at = nextMessage(message)
  }
}

/** The message whose header is at `at`; checks that it lies within `length`. */
export function messageAt({ view }: Input, at: number, length: number): NetlinkMessage {
  if (at + NLMSG_HEADER > length) throw malformed(`${length - at} bytes where a message header needs 16`)
  const size = view.getUint32(at, LITTLE_ENDIAN)
  if (size < NLMSG_HEADER || at + size > length) throw malformed(`a message of ${size} bytes in ${length - at}`)
  return {
    type: view.getUint16(at + 4, LITTLE_ENDIAN),
    flags: view.getUint16(at + 6, LITTLE_ENDIAN),
    sequence: view.getUint32(at + 8, LITTLE_ENDIAN),
    port: view.getUint32(at + 12, LITTLE_ENDIAN),
    start: at + NLMSG_HEADER,
    end: at + size,
  }
}

/** Offset of the header that follows `message`. */
export function nextMessage(message: NetlinkMessage): number {
  return message.start - NLMSG_HEADER + align4(message.end - message.start + NLMSG_HEADER)
}

/**
 * Calls `visit` for each attribute between `start` and `end`, with its type (flags removed) and where its payload lies.
 * @throws NfkitError EBADMSG when an attribute does not fit.
 */
export function forEachAttribute(input: Input, start: number, end: number, visit: (type: number, start: number, end: number) => void): void {
  const { view } = input
  for (let at = start; at < end;) {
    if (at + NLA_HEADER > end) {
      // Up to three bytes of padding may follow the last attribute.
      if (end - at < NLA_HEADER) return
    }
    const size = view.getUint16(at, LITTLE_ENDIAN)
    if (size < NLA_HEADER || at + size > end) throw malformed(`an attribute of ${size} bytes in ${end - at}`)
    visit(view.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK, at + NLA_HEADER, at + size)
    at += align4(size)
  }
}

/** Writes one attribute whose payload `write` appends; the length is filled in afterwards. */
export function attribute(w: Writer, type: number, write: (w: Writer) => void): void {
  const at = w.reserve(NLA_HEADER)
  w.view.setUint16(at + 2, type, LITTLE_ENDIAN)
  write(w)
  const size = w.length - at
  if (size > 0xffff) throw new RangeError(`a netlink attribute holds at most 65535 bytes, got ${size}`)
  w.view.setUint16(at, size, LITTLE_ENDIAN)
  w.align()
}

/** As {@link attribute}, with the nested flag that strict kernels ask for. */
export function nested(w: Writer, type: number, write: (w: Writer) => void): void {
  attribute(w, type | NLA_F_NESTED, write)
}

/** An attribute with a 32-bit payload. */
export function attributeU32(w: Writer, type: number, value: number): void {
  const at = w.reserve(8)
  w.view.setUint16(at, 8, LITTLE_ENDIAN)
  w.view.setUint16(at + 2, type, LITTLE_ENDIAN)
  w.view.setUint32(at + 4, value, LITTLE_ENDIAN)
}

/** An attribute with bytes as payload. */
export function attributeBytes(w: Writer, type: number, data: Uint8Array): void {
  attribute(w, type, () => w.raw(data))
}

/** Appends one message; sequence and port stay zero for the socket to fill in. */
export function message(w: Writer, type: number, flags: number, write: (w: Writer) => void): void {
  const at = w.reserve(NLMSG_HEADER)
  w.view.setUint16(at + 4, type, LITTLE_ENDIAN)
  w.view.setUint16(at + 6, flags, LITTLE_ENDIAN)
  write(w)
  w.view.setUint32(at, w.length - at, LITTLE_ENDIAN)
  w.align()
}

/** Decodes an NLMSG_ERROR or NLMSG_DONE payload with its extended-ACK attributes. */
export function decodeAck(input: Input, msg: NetlinkMessage): NetlinkAck {
  const { view, bytes } = input
  // A DONE without payload is what older kernels end a dump with.
  if (msg.end - msg.start < 4) return { errno: 0 }
  const errno = -view.getInt32(msg.start, LITTLE_ENDIAN)
  if (errno < 0 && msg.type === NLMSG_ERROR) throw malformed(`error number ${-errno}`)
  const ack: { errno: number; message?: string; offset?: number; missingType?: number } = { errno: Math.max(errno, 0) }
  if ((msg.flags & NLM_F_ACK_TLVS) === 0) return ack
  let at = msg.start + 4
  if (msg.type === NLMSG_ERROR) {
    // The request's header is echoed, and its payload too unless CAPPED. An error that ends a dump is a DONE and echoes nothing.
    if (at + NLMSG_HEADER > msg.end) throw malformed('an error without the echoed request header')
    const echoed = view.getUint32(at, LITTLE_ENDIAN)
    at += (msg.flags & NLM_F_CAPPED) !== 0 ? NLMSG_HEADER : align4(Math.max(echoed, NLMSG_HEADER))
  }
  if (at >= msg.end) return ack
  forEachAttribute(input, at, msg.end, (type, start, end) => {
    if (type === 1) ack.message = text(bytes, start, end)
    else if (type === 2 && end - start >= 4) ack.offset = view.getUint32(start, LITTLE_ENDIAN)
    else if (type === 5 && end - start >= 4) ack.missingType = view.getUint32(start, LITTLE_ENDIAN)
  })
  return ack
}

/** The type of the attribute that begins at `offset` of a request, for naming it in an error. */
export function attributeTypeAt(request: Uint8Array, offset: number): number | undefined {
  return offset + NLA_HEADER <= request.length ? inputOf(request).view.getUint16(offset + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK : undefined
}

const utf8 = new TextDecoder()
const utf8Encoder = new TextEncoder()

/** A string up to its NUL. */
export function text(bytes: Uint8Array, start: number, end: number): string {
  const nul = bytes.indexOf(0, start)
  return utf8.decode(bytes.subarray(start, nul < 0 || nul > end ? end : nul))
}

/** A string's bytes with the closing NUL that the kernel's NLA_NUL_STRING policy asks for. */
export function textBytes(value: string): Uint8Array {
  return utf8Encoder.encode(`${value}\0`)
}
