// SPDX-License-Identifier: MIT
// Routes: struct rtmsg and RTA_* (include/uapi/linux/rtnetlink.h, net/ipv4/fib_frontend.c, net/ipv6/route.c).

import { invalidArgument, outOfRange } from '../errors.js'
import {
  attributeTable, be16, be32, bool, type Codec, checkInteger, choice, field, ip, raw, reported, string, struct, table, u32, u8,
  type WithUnknown,
} from './attributes.js'
import { align4, type Input, LITTLE_ENDIAN, type Writer } from './bytes.js'
import { formatIp, parseIp } from './ip.js'
import { flags, flagTable, named, nameTable, type UnnamedFlag } from './names.js'
import { malformed, type NetlinkMessage } from './netlink.js'
import { AF_INET, AF_INET6 } from './rtnetlink.js'

export const ROUTE_HEADER = 12

/** The bits of rtm_flags: RTNH_F_* and RTM_F_*. Users set `onlink` and `pervasive`; the kernel reports the others. */
export type RouteFlag =
  | 'dead' | 'pervasive' | 'onlink' | 'offload' | 'linkdown' | 'unresolved' | 'trap' | 'notify' | 'cloned' | 'equalize' | 'prefix'
  | 'lookup-table' | 'fib-match' | 'rt-offload' | 'rt-trap' | 'rt-offload-failed'
export const routeFlags = flagTable<RouteFlag>({
  dead: 0x1, pervasive: 0x2, onlink: 0x4, offload: 0x8, linkdown: 0x10, unresolved: 0x20, trap: 0x40, notify: 0x100, cloned: 0x200,
  equalize: 0x400, prefix: 0x800, 'lookup-table': 0x1000, 'fib-match': 0x2000, 'rt-offload': 0x4000, 'rt-trap': 0x8000,
  'rt-offload-failed': 0x20000000,
})
export const SETTABLE_ROUTE_FLAGS = 0x2 | 0x4
export const RTM_F = { lookupTable: 0x1000, fibMatch: 0x2000 } as const

export type MetricName =
  | 'mtu' | 'window' | 'rtt' | 'rttvar' | 'ssthresh' | 'cwnd' | 'advmss' | 'reordering' | 'hoplimit' | 'initcwnd' | 'features' | 'rtoMin'
  | 'initrwnd' | 'quickack' | 'ccAlgo' | 'fastopenNoCookie'
const METRICS: Readonly<Record<MetricName, number>> = {
  mtu: 2, window: 3, rtt: 4, rttvar: 5, ssthresh: 6, cwnd: 7, advmss: 8, reordering: 9, hoplimit: 10, initcwnd: 11, features: 12,
  rtoMin: 13, initrwnd: 14, quickack: 15, ccAlgo: 16, fastopenNoCookie: 17,
}
/** The bit of a metric is that of its type. */
const LOCKS = flagTable(Object.fromEntries(Object.entries(METRICS).map(([name, type]) => [name, 1 << type])) as Record<MetricName, number>)
export type RouteFeature = 'ecn' | 'sack' | 'timestamp' | 'allfrag' | 'tcp-usec-ts'
const FEATURES = flagTable<RouteFeature>({ ecn: 1, sack: 2, timestamp: 4, allfrag: 8, 'tcp-usec-ts': 16 })

/** RTA_METRICS: what TCP and IP are to assume of the way; 0 or absent is unset. Kernel: RTAX_*. */
export interface RouteMetrics {
  /** Those that path discovery and TCP must not change. */
  lock: (MetricName | UnnamedFlag)[]
  /** Bytes, up to 65520. */
  mtu: number
  /** Greatest TCP window to advertise, in bytes. */
  window: number
  /** Round-trip time in milliseconds, in steps of 1/8. */
  rtt: number
  /** Its variation in milliseconds, in steps of 1/4. */
  rttvar: number
  /** Segments. */
  ssthresh: number
  /** Upper bound of the congestion window in segments; counts when locked. */
  cwnd: number
  /** TCP MSS to advertise, in bytes, up to 65495. */
  advmss: number
  reordering: number
  /** 0 to 255. */
  hoplimit: number
  /** Initial congestion window in segments. */
  initcwnd: number
  features: (RouteFeature | UnnamedFlag)[]
  /** Least TCP retransmission timeout in milliseconds. */
  rtoMin: number
  /** Initial receive window in segments. */
  initrwnd: number
  quickack: boolean
  /** Congestion control, for example `bbr`. */
  ccAlgo: string
  fastopenNoCookie: boolean
}

/** A number that the kernel keeps as `factor` times as much. */
function scaled(factor: number): Codec<number> {
  const codec = u32()
  return {
    decode(input, start, end) {
      const value = codec.decode(input, start, end)
      return value === undefined ? undefined : value / factor
    },
    encode(w, value, name) {
      if (typeof value !== 'number') throw invalidArgument(name, 'a number', value)
      if (!Number.isInteger(value * factor)) throw outOfRange(name, `a multiple of 1/${factor}`, value)
      codec.encode(w, value * factor, name)
    },
  }
}

export const routeMetrics = attributeTable<RouteMetrics>({
  lock: field(1, flags(4, LOCKS)),
  // The kernel lowers what is greater without a word (ip_metrics_convert, net/ipv4/metrics.c).
  mtu: field(METRICS.mtu, u32(0, 65520)),
  window: field(METRICS.window, u32()),
  rtt: field(METRICS.rtt, scaled(8)),
  rttvar: field(METRICS.rttvar, scaled(4)),
  ssthresh: field(METRICS.ssthresh, u32()),
  cwnd: field(METRICS.cwnd, u32()),
  advmss: field(METRICS.advmss, u32(0, 65495)),
  reordering: field(METRICS.reordering, u32()),
  hoplimit: field(METRICS.hoplimit, u32(0, 255)),
  initcwnd: field(METRICS.initcwnd, u32()),
  features: field(METRICS.features, flags(4, FEATURES)),
  rtoMin: field(METRICS.rtoMin, u32()),
  initrwnd: field(METRICS.initrwnd, u32()),
  quickack: field(METRICS.quickack, bool(4)),
  ccAlgo: field(METRICS.ccAlgo, string(15)),
  fastopenNoCookie: field(METRICS.fastopenNoCookie, bool(4)),
})

/** RTA_VIA: a gateway of another family than the route's. */
const via: Codec<string> = {
  decode({ view, bytes }, start, end) {
    const family = end - start > 2 ? view.getUint16(start, LITTLE_ENDIAN) : 0
    if (!(family === AF_INET && end - start === 6) && !(family === AF_INET6 && end - start === 18)) return undefined
    return formatIp(bytes.subarray(start + 2, end))
  },
  encode(w, value, name) {
    const address = parseIp(value, name)
    w.u16(address.length === 4 ? AF_INET : AF_INET6)
    w.raw(address)
  },
}

/** One way of a multipath route: struct rtnexthop and attributes behind it. */
export interface NexthopMessage {
  /** RTNH_F_* bits. */
  flags: number
  /** The weight less one. */
  hops: number
  index: number
  attributes: Partial<RouteAttributes> & WithUnknown
}

const NEXTHOP = 8

const multipath: Codec<NexthopMessage[]> = {
  decode(input, start, end) {
    const { view } = input
    const nexthops: NexthopMessage[] = []
    for (let at = start; at < end;) {
      const length = end - at < NEXTHOP ? 0 : view.getUint16(at, LITTLE_ENDIAN)
      if (length < NEXTHOP || at + length > end) return undefined
      nexthops.push({
        flags: view.getUint8(at + 2),
        hops: view.getUint8(at + 3),
        index: view.getInt32(at + 4, LITTLE_ENDIAN),
        attributes: routeAttributes.decode(input, at + NEXTHOP, at + length),
      })
      at += align4(length)
    }
    return nexthops
  },
  encode(w, value, name) {
    if (!Array.isArray(value) || value.length === 0) throw invalidArgument(name, 'an array of one nexthop or more', value)
    value.forEach(({ flags, hops, index, attributes }, i) => {
      const at = w.reserve(NEXTHOP)
      w.bytes[at + 2] = flags
      w.bytes[at + 3] = hops
      w.view.setInt32(at + 4, index, LITTLE_ENDIAN)
      routeAttributes.encode(w, attributes, `${name}[${i}]`)
      if (w.length - at > 0xffff) throw outOfRange(`${name}[${i}]`, 'at most 65535 bytes', w.length - at)
      w.view.setUint16(at, w.length - at, LITTLE_ENDIAN)
    })
  },
}

/** struct rta_cacheinfo. */
export interface RouteCacheInfo {
  /** Seconds since it was last used. */
  lastUse: number
  /** Seconds until it goes, 0 for never; negative when that is over. */
  expires: number
  /** Positive errno of packets that take this route, 0 for none. */
  error: number
  used: number
}

export type EncapName = 'none' | 'mpls' | 'ip' | 'ila' | 'ip6' | 'seg6' | 'bpf' | 'seg6-local' | 'rpl' | 'ioam6' | 'xfrm'
const encapTypes = nameTable<EncapName>({
  none: 0, mpls: 1, ip: 2, ila: 3, ip6: 4, seg6: 5, bpf: 6, 'seg6-local': 7, rpl: 8, ioam6: 9, xfrm: 10,
}, 0xffff)

/** How much an IPv6 router is preferred (RFC 4191 section 2.1). */
export type RoutePreference = 'low' | 'medium' | 'high'

/** RTA_* as they are on the wire. */
export interface RouteAttributes {
  destination: string
  source: string
  inputLink: number
  link: number
  gateway: string
  priority: number
  prefSource: string
  metrics: Partial<RouteMetrics> & WithUnknown
  nexthops: NexthopMessage[]
  realms: number
  cacheInfo: RouteCacheInfo
  table: number
  mark: number
  multicastStatistics: Uint8Array
  via: string
  newDestination: Uint8Array
  pref: RoutePreference
  encapType: EncapName | number
  encap: Uint8Array
  expires: number
  uid: number
  ttlPropagate: boolean
  ipProtocol: number
  sourcePort: number
  destinationPort: number
  nexthopId: number
  flowLabel: number
}

export const routeAttributes = attributeTable<RouteAttributes>({
  destination: field(1, ip),
  source: field(2, ip),
  inputLink: field(3, u32()),
  link: field(4, u32()),
  gateway: field(5, ip),
  priority: field(6, u32()),
  prefSource: field(7, ip),
  metrics: field(8, table(routeMetrics)),
  nexthops: field(9, multipath),
  realms: field(11, u32()),
  cacheInfo: reported(12, struct(20, (view, at) => ({
    lastUse: view.getUint32(at + 4, LITTLE_ENDIAN) / 100,
    expires: view.getInt32(at + 8, LITTLE_ENDIAN) / 100,
    error: Math.abs(view.getInt32(at + 12, LITTLE_ENDIAN)),
    used: view.getUint32(at + 16, LITTLE_ENDIAN),
  }))),
  table: field(15, u32()),
  mark: field(16, u32()),
  multicastStatistics: reported(17, raw),
  via: field(18, via),
  newDestination: field(19, raw),
  pref: field(20, choice(1, { medium: 0, high: 1, low: 3 })),
  encapType: field(21, named(2, encapTypes)),
  encap: field(22, { ...raw, nested: true }),
  expires: field(23, u32()),
  uid: field(25, u32()),
  ttlPropagate: field(26, bool()),
  ipProtocol: field(27, u8()),
  sourcePort: field(28, be16()),
  destinationPort: field(29, be16()),
  nexthopId: field(30, u32(1)),
  flowLabel: field(31, be32()),
}, { padding: 24 })

/** For naming refused attributes. */
export const routeShape = { header: ROUTE_HEADER, table: routeAttributes }

/** One route as the kernel reports it, and as a request carries it. */
export interface RouteMessage {
  /** AF_INET or AF_INET6; multicast and MPLS routes have families of their own. */
  family: number
  destinationLength: number
  sourceLength: number
  tos: number
  /** The table, whatever its number. */
  table: number
  protocol: number
  scope: number
  type: number
  flags: number
  attributes: Partial<RouteAttributes> & WithUnknown
}

/** @throws NfkitError EBADMSG */
export function decodeRoute(input: Input, msg: NetlinkMessage): RouteMessage {
  const { view } = input
  const at = msg.start
  if (at + ROUTE_HEADER > msg.end) throw malformed('a route message shorter than its header')
  const byte = (i: number) => view.getUint8(at + i)
  const attributes = routeAttributes.decode(input, at + ROUTE_HEADER, msg.end)
  return {
    family: byte(0), destinationLength: byte(1), sourceLength: byte(2), tos: byte(3), table: attributes.table ?? byte(4), protocol: byte(5),
    scope: byte(6), type: byte(7), flags: view.getUint32(at + 8, LITTLE_ENDIAN), attributes,
  }
}

/** Fields that are left out are zero. */
export function encodeRoute(w: Writer, route: Partial<RouteMessage> & { family: number }): void {
  const { family, destinationLength = 0, sourceLength = 0, tos = 0, table: number = 0 } = route
  const { protocol = 0, scope = 0, type = 0, flags: bits = 0 } = route
  checkInteger(tos, 0, 255, 'tos')
  // A table that does not fit the header's byte is in RTA_TABLE alone.
  for (const value of [family, destinationLength, sourceLength, tos, number > 255 ? 0 : number, protocol, scope, type]) w.u8(value)
  w.u32(bits)
  routeAttributes.encode(w, { ...route.attributes, ...(number > 255 ? { table: number } : {}) }, 'route')
}
