/* SPDX-License-Identifier: GPL-2.0 */
/* The frame of a packet at a hook. */
#ifndef NFKIT_FRAME_H
#define NFKIT_FRAME_H

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>

#include "compat.h"

struct nfkit_output;

static inline bool nfkit_is_ip(const struct nf_hook_state *state)
{
	return state->pf == NFPROTO_IPV4 || state->pf == NFPROTO_IPV6;
}

/* How long the MAC header before skb->data is; negative: there is none. */
static inline int nfkit_mac_len(const struct sk_buff *skb,
				const struct nf_hook_state *state)
{
	const struct net_device *dev = state->in;
	long len;

	if (!skb_mac_header_was_set(skb))
		return -1;
	if (nfkit_is_ip(state)) {
		if (state->hook == NF_INET_LOCAL_OUT || !skb->skb_iif)
			return -1;
	} else if (!dev) {
		dev = state->out;
	}
	if (dev && dev->type != ARPHRD_ETHER && dev->type != ARPHRD_LOOPBACK)
		return -1;
	len = skb->data - skb_mac_header(skb);
	/* At egress the data begins with it. */
	if (!len && state->pf == NFPROTO_NETDEV)
		return 0;
	return len >= ETH_HLEN && len <= ETH_HLEN + 2 * VLAN_HLEN ? len : -1;
}

/*
 * Past the route of a forwarded packet its MAC header is written over, in the
 * head that clones share; before, whoever changes a packet looks for clones.
 */
static inline bool nfkit_is_rewritten(const struct nf_hook_state *state)
{
	return nfkit_is_ip(state) && state->hook != NF_INET_LOCAL_IN &&
	       state->hook != NF_INET_PRE_ROUTING;
}

/* frame.c */
struct sk_buff *nfkit_frame_with_head(struct sk_buff *skb,
				      const struct nf_hook_state *state,
				      const struct net_device *dev,
				      int mac_len);
struct sk_buff *nfkit_frame_edit(struct sk_buff *frame,
				 const struct nfkit_output *output);

/* As skb_scrub_packet() does it within a namespace, without a call. */
static __always_inline void nfkit_scrub(struct sk_buff *skb)
{
	skb->pkt_type = PACKET_HOST;
	skb->skb_iif = 0;
	skb->ignore_df = 0;
	skb_dst_drop(skb);
	skb_ext_reset(skb);
	nf_reset_ct(skb);
	nf_reset_trace(skb);
#ifdef CONFIG_NET_SWITCHDEV
	skb->offload_fwd_mark = 0;
	skb->offload_l3_fwd_mark = 0;
#endif
}

/* What leaves by devices, before one of them changes its own. */
static __always_inline struct sk_buff *
nfkit_frame(struct sk_buff *skb, const struct nf_hook_state *state,
	    const struct net_device *dev)
{
	bool rewritten = nfkit_is_rewritten(state);
	int mac_len = nfkit_mac_len(skb, state);
	struct sk_buff *copy;

	if (rewritten || mac_len < 0) {
		copy = nfkit_frame_with_head(skb, state, dev, mac_len);
		if (!copy)
			return NULL;
	} else {
		copy = skb_clone(skb, GFP_ATOMIC);
		if (!copy)
			return NULL;
		__skb_push(copy, mac_len);
	}
	nfkit_scrub(copy);
	skb_clear_tstamp(copy);
	skb_forward_csum(copy);
	skb_reset_mac_header(copy);
	skb_reset_mac_len(copy);
	/* A bridge has moved past tags that the frame still has. */
	if (mac_len > ETH_HLEN)
		copy->protocol = eth_hdr(copy)->h_proto;
	return copy;
}

#endif /* NFKIT_FRAME_H */
