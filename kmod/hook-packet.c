// SPDX-License-Identifier: GPL-2.0
/* What a hook does with a packet. */
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/skbuff.h>

#include "clone.h"
#include "compat.h"
#include "frame.h"
#include "hook.h"

/* VLAN tags that a frame may have in it, beside one that was taken off. */
#define NFKIT_HOOK_TAGS		2

static void nfkit_hook_add(struct nfkit_hook_counters *counters,
			   enum nfkit_hook_counter counter, unsigned long add)
{
	u64_stats_update_begin(&counters->syncp);
	u64_stats_add(&counters->value[counter], add);
	u64_stats_update_end(&counters->syncp);
}

static void nfkit_hook_count(struct nfkit_hook_counters *counters,
			     enum nfkit_hook_counter counter)
{
	nfkit_hook_add(counters, counter, 1);
}

static bool nfkit_hook_is_at(int wanted, const struct net_device *dev)
{
	return !wanted || (dev && wanted == dev->ifindex);
}

static noinline bool
nfkit_hook_is_for(const struct nfkit_hook_definition *definition,
		  const struct sk_buff *skb, const struct nf_hook_state *state)
{
	const int *ifindex = definition->ifindex;
	int in = READ_ONCE(ifindex[NFKIT_HOOK_PHYSIN]);
	int out = READ_ONCE(ifindex[NFKIT_HOOK_PHYSOUT]);

	return nfkit_hook_is_at(READ_ONCE(ifindex[NFKIT_HOOK_IN]), state->in) &&
	       nfkit_hook_is_at(READ_ONCE(ifindex[NFKIT_HOOK_OUT]),
				state->out) &&
	       (!in || in == nfkit_physin(skb)) &&
	       (!out || out == nfkit_physout(skb));
}

static bool nfkit_hook_is_ethernet(const struct net_device *dev)
{
	return dev->type == ARPHRD_ETHER || dev->type == ARPHRD_LOOPBACK;
}

static bool nfkit_hook_at_egress(const struct nf_hook_state *state)
{
	return state->pf == NFPROTO_NETDEV && !state->in;
}

/*
 * Where data begins at the network header: how long the MAC header before it
 * is. 0: there is none.
 */
static int nfkit_hook_mac_len(const struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	long len;

	if (!skb_mac_header_was_set(skb) ||
	    (state->in && !nfkit_hook_is_ethernet(state->in)))
		return 0;
	len = skb->data - skb_mac_header(skb);
	return len >= ETH_HLEN && len <= ETH_HLEN + NFKIT_HOOK_TAGS * VLAN_HLEN ?
	       len : 0;
}

/* From skb->data to the IP header; -1: there is none. */
static int nfkit_hook_ip_offset(const struct sk_buff *skb,
				const struct nf_hook_state *state)
{
	__be16 protocol = skb->protocol;
	int offset = 0;
	int tags;

	if (nfkit_hook_at_egress(state)) {
		const struct ethhdr *eth;
		struct ethhdr buffer;

		offset = skb_network_offset(skb);
		if (nfkit_hook_is_ethernet(state->out)) {
			eth = skb_header_pointer(skb, 0, ETH_HLEN, &buffer);
			if (!eth)
				return -1;
			protocol = eth->h_proto;
			offset = ETH_HLEN;
		}
	}
	for (tags = 0; tags < NFKIT_HOOK_TAGS && eth_type_vlan(protocol); tags++) {
		const struct vlan_hdr *vlan;
		struct vlan_hdr buffer;

		vlan = skb_header_pointer(skb, offset, VLAN_HLEN, &buffer);
		if (!vlan)
			return -1;
		protocol = vlan->h_vlan_encapsulated_proto;
		offset += VLAN_HLEN;
	}
	if (protocol != htons(ETH_P_IP) && protocol != htons(ETH_P_IPV6))
		return -1;
	return offset >= 0 && offset <= skb->len ? offset : -1;
}

static __always_inline bool
nfkit_hook_answer(const struct nfkit_hook_definition *definition,
		  const struct sk_buff *skb,
		  struct nfkit_hook_counters *counters)
{
	u32 answer = nfkit_bpf_run(definition->program, skb);

	if (answer == NFKIT_BPF_UNDECIDED &&
	    definition->config.flags & NFKIT_HOOK_UNDECIDED) {
		nfkit_hook_count(counters, NFKIT_HOOK_IS_UNDECIDED);
		return false;
	}
	return answer;
}

/*
 * Lets the program see the packet from the header of its link type on. If it
 * could not, the reason has been counted.
 */
static noinline bool
nfkit_hook_matches_from(const struct nfkit_hook_definition *definition,
			struct sk_buff *skb, const struct nf_hook_state *state,
			struct nfkit_hook_counters *counters)
{
	bool matches;
	int pull = 0;
	int push = 0;

	if (definition->config.link == NFKIT_LINK_RAW) {
		pull = nfkit_hook_ip_offset(skb, state);
		if (pull < 0)
			goto no_header;
		/* Programs know the data that is not linear, but not what is before it. */
		if (pull > skb_headlen(skb) &&
		    (skb_shared(skb) || !pskb_may_pull(skb, pull))) {
			nfkit_hook_count(counters, NFKIT_HOOK_NO_MEMORY);
			return false;
		}
	} else if (nfkit_hook_at_egress(state)) {
		if (!nfkit_hook_is_ethernet(state->out))
			goto no_header;
	} else {
		push = nfkit_hook_mac_len(skb, state);
		if (!push)
			goto no_header;
	}

	if (pull)
		__skb_pull(skb, pull);
	else if (push)
		__skb_push(skb, push);
	matches = nfkit_hook_answer(definition, skb, counters);
	if (pull)
		__skb_push(skb, pull);
	else if (push)
		__skb_pull(skb, push);
	return matches;

no_header:
	nfkit_hook_count(counters, NFKIT_HOOK_NO_HEADER);
	return false;
}

/* At the IP hook points data begins with the header that RAW is. */
static bool nfkit_hook_matches(const struct nfkit_hook_definition *definition,
			       struct sk_buff *skb,
			       const struct nf_hook_state *state,
			       struct nfkit_hook_counters *counters)
{
	if (!definition->program)
		return true;
	if (definition->config.link == NFKIT_LINK_RAW && nfkit_is_ip(state))
		return nfkit_hook_answer(definition, skb, counters);
	return nfkit_hook_matches_from(definition, skb, state, counters);
}

static unsigned int nfkit_hook_length(const struct sk_buff *skb,
				      const struct nf_hook_state *state)
{
	if (state->pf == NFPROTO_BRIDGE ||
	    (state->pf == NFPROTO_NETDEV && !nfkit_hook_at_egress(state)))
		return skb->len + nfkit_hook_mac_len(skb, state);
	return skb->len;
}

static void nfkit_hook_mark(const struct nfkit_hook_definition *definition,
			    struct sk_buff *skb)
{
	const struct nfkit_hook_set *set = &definition->config;

	if (set->flags & NFKIT_HOOK_MARK)
		skb->mark = (skb->mark & ~set->mark_mask) ^ set->mark;
}

static void nfkit_hook_repeat(const struct nfkit_hook_definition *definition,
			      struct sk_buff *skb,
			      const struct nf_hook_state *state,
			      struct nfkit_hook_counters *counters)
{
	u32 left = definition->config.repeat;

	do {
		nfkit_hook_mark(definition, skb);
		nfkit_hook_count(counters, NFKIT_HOOK_REPEATED);
		if (!nfkit_hook_matches(definition, skb, state, counters))
			return;
	} while (--left);
	nfkit_hook_count(counters, NFKIT_HOOK_UNFINISHED);
}

/* As iptable_mangle does it after another mark. */
static int nfkit_hook_reroute(struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	if (state->pf == NFPROTO_IPV4)
		return ip_route_me_harder(state->net, state->sk, skb,
					  RTN_UNSPEC);
	return nf_ip6_route_me_harder(state->net, state->sk, skb);
}

/* What becomes of a packet that goes on, with a verdict of the kernel's. */
static noinline unsigned int
nfkit_hook_pass(const struct nfkit_hook_definition *definition,
		struct sk_buff *skb, const struct nf_hook_state *state,
		struct nfkit_hook_counters *counters)
{
	const struct nfkit_hook_set *set = &definition->config;
	u32 mark = skb->mark;
	int err;

	if (set->verdict == NFKIT_VERDICT_REPEAT)
		nfkit_hook_repeat(definition, skb, state, counters);
	else
		nfkit_hook_mark(definition, skb);

	if (set->point == NFKIT_POINT_LOCAL_OUT && skb->mark != mark) {
		err = nfkit_hook_reroute(skb, state);
		if (err) {
			nfkit_hook_count(counters, NFKIT_HOOK_UNROUTABLE);
			nfkit_hook_count(counters, NFKIT_HOOK_DROPPED);
			return NF_DROP_ERR(err);
		}
	}
	if (set->verdict != NFKIT_VERDICT_QUEUE) {
		nfkit_hook_count(counters, NFKIT_HOOK_ACCEPTED);
		return NF_ACCEPT;
	}
	nfkit_hook_count(counters, NFKIT_HOOK_QUEUED);
	return NF_QUEUE_NR(set->queue) |
	       (set->flags & NFKIT_HOOK_BYPASS ? NF_VERDICT_FLAG_QUEUE_BYPASS : 0);
}

static noinline unsigned int
nfkit_hook_redirect(const struct nfkit_hook_definition *definition,
		    struct sk_buff *skb, const struct nf_hook_state *state,
		    struct nfkit_hook_counters *counters)
{
	const struct nfkit_hook_set *set = &definition->config;

	if (nfkit_redirect(definition->target, skb, state, set->point)) {
		nfkit_hook_count(counters, NFKIT_HOOK_REDIRECTED);
		consume_skb(skb);
		return NF_STOLEN;
	}
	nfkit_hook_count(counters, NFKIT_HOOK_NOT_TAKEN);
	if (!(set->flags & NFKIT_HOOK_FAIL_DROP))
		return nfkit_hook_pass(definition, skb, state, counters);
	nfkit_hook_count(counters, NFKIT_HOOK_DROPPED);
	return NF_DROP;
}

static unsigned int
nfkit_hook_matched(const struct nfkit_hook_definition *definition,
		   struct sk_buff *skb, const struct nf_hook_state *state,
		   struct nfkit_hook_counters *counters)
{
	const struct nfkit_hook_set *set = &definition->config;

	nfkit_hook_count(counters, NFKIT_HOOK_MATCHED);
	nfkit_hook_add(counters, NFKIT_HOOK_BYTES,
		       nfkit_hook_length(skb, state));
	if (set->verdict == NFKIT_VERDICT_REDIRECT)
		return nfkit_hook_redirect(definition, skb, state, counters);
	if (definition->target)
		nfkit_clone(definition->target, skb, state, set->point);
	if (set->verdict == NFKIT_VERDICT_DROP) {
		nfkit_hook_count(counters, NFKIT_HOOK_DROPPED);
		return NF_DROP;
	}
	if (set->verdict != NFKIT_VERDICT_ACCEPT || set->flags & NFKIT_HOOK_MARK)
		return nfkit_hook_pass(definition, skb, state, counters);
	nfkit_hook_count(counters, NFKIT_HOOK_ACCEPTED);
	return NF_ACCEPT;
}

static noinline unsigned int
nfkit_hook_in_process(void *place, struct sk_buff *skb,
		      const struct nf_hook_state *state)
{
	unsigned int verdict;

	local_bh_disable();
	verdict = nfkit_hook_packet(place, skb, state);
	local_bh_enable();
	return verdict;
}

/* Under RCU; at LOCAL_OUT also from process context. */
unsigned int nfkit_hook_packet(void *priv, struct sk_buff *skb,
			       const struct nf_hook_state *state)
{
	const struct nfkit_hook_place *place = priv;
	const struct nfkit_hook_definition *definition;
	struct nfkit_hook_counters *counters;

	if (unlikely(!in_softirq()))
		return nfkit_hook_in_process(priv, skb, state);
	definition = rcu_dereference(place->definition);
	if (definition->devices && !nfkit_hook_is_for(definition, skb, state))
		return NF_ACCEPT;
	counters = this_cpu_ptr(definition->counters);
	nfkit_hook_count(counters, NFKIT_HOOK_SEEN);
	if (!nfkit_hook_matches(definition, skb, state, counters))
		return NF_ACCEPT;
	return nfkit_hook_matched(definition, skb, state, counters);
}
