/* SPDX-License-Identifier: GPL-2.0 */
/* Options of IPv4 into which this box has written: record route, timestamp. */
#ifndef NFKIT_OPTIONS_H
#define NFKIT_OPTIONS_H

#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <net/ip.h>

/*
 * The kernel writes into a packet's options when it has been routed, and sums up
 * its header only when it leaves (ip_forward_options()): at INPUT and FORWARD a
 * copy would have a checksum for which receivers drop it.
 */
static __always_inline bool nfkit_options_changed(const struct sk_buff *skb,
						  const struct nf_hook_state *state)
{
	return unlikely(state->pf == NFPROTO_IPV4 &&
			IPCB(skb)->opt.is_changed);
}

/*
 * The head is that of the packet alone since it was written into, or of copies
 * that are to have the same in it.
 */
static inline void nfkit_options_sum(struct sk_buff *skb,
				     const struct nf_hook_state *state)
{
	struct iphdr *iph = ip_hdr(skb);

	if (nfkit_options_changed(skb, state) && ip_fast_csum(iph, iph->ihl))
		ip_send_check(iph);
}

#endif /* NFKIT_OPTIONS_H */
