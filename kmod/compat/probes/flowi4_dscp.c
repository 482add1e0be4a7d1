// SPDX-License-Identifier: GPL-2.0
// Since 6.18; before, flowi4_tos.
// absent: net/inet_dscp.h: No such file|no member named .flowi4_dscp|function .ip4h_dscp
#include <net/flow.h>
#include <net/ip.h>
#include <net/inet_dscp.h>

void probe(struct flowi4 *fl4, const struct iphdr *iph);
void probe(struct flowi4 *fl4, const struct iphdr *iph)
{
	fl4->flowi4_dscp = ip4h_dscp(iph);
}
