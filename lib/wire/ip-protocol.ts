// SPDX-License-Identifier: MIT

/** Protocol numbers of IPv4's `protocol` and IPv6's `next header` (include/uapi/linux/in.h, IPPROTO_*). */
export const IpProtocol = {
  hopByHop: 0, icmp: 1, igmp: 2, tcp: 6, udp: 17, ipv6: 41, routing: 43, fragment: 44, gre: 47, esp: 50, ah: 51, icmpv6: 58,
  noNext: 59, destinationOptions: 60, sctp: 132,
} as const
