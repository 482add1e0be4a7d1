// SPDX-License-Identifier: GPL-2.0
/*
 * A copy that policy routing sends on its way, by its mark.
 *
 * The route is looked up as for a packet of this box. Then the copy goes to
 * the neighbour without another look of netfilter's: what no chain sees is
 * neither copied again nor rejected, translated or tracked. Nothing here may
 * tell the sender of the original about the copy's fate, so it has no route
 * any more, without which no ICMP is sent, when neighbour or device get it.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <net/addrconf.h>
#include <net/arp.h>
#include <net/dst_metadata.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/neighbour.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/route.h>

#include "compat.h"
#include "route.h"
#include "sending.h"
#include "target.h"

/* A copy with a head of its own, since both get another MAC header. */
static struct sk_buff *nfkit_reroute_copy(struct sk_buff *skb,
					  struct dst_entry *dst, u32 mark,
					  u8 pf)
{
	int headroom = skb_headroom(skb);
	int needed = max_t(int, headroom, LL_RESERVED_SPACE(dst->dev));
	struct sk_buff *copy;
	bool ignore_df;

	copy = __pskb_copy(skb, needed, GFP_ATOMIC);
	if (!copy)
		return NULL;
	if (needed != headroom)
		skb_headers_offset_update(copy, needed - headroom);

	ignore_df = copy->ignore_df;
	skb_scrub_packet(copy, false);
	copy->ignore_df = ignore_df;
	nf_ct_set(copy, NULL, IP_CT_UNTRACKED);
	skb_clear_tstamp(copy);
	skb_forward_csum(copy);
	__vlan_hwaccel_clear_tag(copy);
	copy->protocol = pf == NFPROTO_IPV4 ? htons(ETH_P_IP) :
					      htons(ETH_P_IPV6);
	/* No ICMP about it. */
	copy->pkt_type = PACKET_OUTGOING;
	copy->mark = mark;
	/* Held by nobody while it is queued; the route knows it. */
	copy->dev = NULL;
	skb_dst_set(copy, dst);
	return copy;
}

/*
 * A device without ARP has one neighbour at most, so it needs no entry for
 * each address that it is told of: frames go to the device's own address, as
 * the kernel does it, or to that of the group.
 */
static bool nfkit_plain_address(const struct sk_buff *skb,
				const struct net_device *dev, u8 *address)
{
	if (!(dev->flags & IFF_NOARP) || dev->type != ARPHRD_ETHER)
		return false;
	if (skb->protocol == htons(ETH_P_IP)) {
		const struct rtable *rt = skb_rtable(skb);
		__be32 daddr = ip_hdr(skb)->daddr;

		if (rt->rt_gw_family)
			return false;
		if (ipv4_is_multicast(daddr))
			ip_eth_mc_map(daddr, address);
		else if (rt->rt_flags & RTCF_BROADCAST)
			eth_broadcast_addr(address);
		else
			ether_addr_copy(address, dev->dev_addr);
		return true;
	}
#if IS_ENABLED(CONFIG_IPV6)
	if (((struct rt6_info *)skb_dst(skb))->rt6i_flags & RTF_GATEWAY)
		return false;
	if (ipv6_addr_is_multicast(&ipv6_hdr(skb)->daddr))
		ipv6_eth_mc_map(&ipv6_hdr(skb)->daddr, address);
	else
		ether_addr_copy(address, dev->dev_addr);
	return true;
#else
	return false;
#endif
}

static int nfkit_to_neighbour(struct sk_buff *skb, struct net_device *dev)
{
	struct neighbour *neighbour;
	int err;

	neighbour = dst_neigh_lookup_skb(skb_dst(skb), skb);
	if (!neighbour) {
		kfree_skb(skb);
		return -ENOBUFS;
	}
	if (READ_ONCE(neighbour->nud_state) & NUD_VALID) {
		bool other = neighbour->tbl->family !=
			     (skb->protocol == htons(ETH_P_IP) ? AF_INET : AF_INET6);

		skb_dst_drop(skb);
		err = neigh_output(neighbour, skb, other);
	} else {
		/* Have it looked for, but do not let the copy wait uncounted. */
		neigh_event_send(neighbour, NULL);
		kfree_skb(skb);
		err = -EHOSTUNREACH;
	}
	neigh_release(neighbour);
	return err;
}

/* The last step of a copy or a fragment of one. Under RCU. */
static int nfkit_output(struct net *net, struct sock *sk, struct sk_buff *skb)
{
	struct net_device *dev = skb_dst(skb)->dev;
	u8 address[ETH_ALEN];

	skb->dev = dev;
	if (skb_cow_head(skb, LL_RESERVED_SPACE(dev))) {
		kfree_skb(skb);
		return -ENOMEM;
	}
	if (!nfkit_plain_address(skb, dev, address))
		return nfkit_to_neighbour(skb, dev);
	skb_dst_drop(skb);
	if (dev_hard_header(skb, dev, ntohs(skb->protocol), address, NULL,
			    skb->len) < 0) {
		kfree_skb(skb);
		return -EINVAL;
	}
	return dev_queue_xmit(skb);
}

/* A queue that took this one and dropped another is to have the next ones, too. */
static int nfkit_output_fragment(struct net *net, struct sock *sk,
				 struct sk_buff *skb)
{
	struct net_device *dev = skb_dst(skb)->dev;
	int err = nfkit_output(net, sk, skb);

	return err == NET_XMIT_CN && !nfkit_went_down(dev) ? 0 : err;
}

static int nfkit_output_fragments(struct net *net, struct sk_buff *skb)
{
	if (skb->protocol == htons(ETH_P_IP))
		return ip_do_fragment(net, NULL, skb, nfkit_output_fragment);
	return nfkit_ip6_fragment(net, skb, nfkit_output_fragment);
}

/* What becomes of a copy. Under RCU. */
static enum nfkit_counter nfkit_reroute_xmit(struct sk_buff *skb,
					     enum nfkit_fit fit)
{
	struct net_device *dev = skb_dst(skb)->dev;
	int err;

	/* The route of a device that is gone leads into a black hole. */
	if (dev == blackhole_netdev || !nfkit_is_active(dev)) {
		kfree_skb(skb);
		return NFKIT_DEVICE_DOWN;
	}
	skb->dev = dev;
	switch (fit) {
	case NFKIT_FITS:
		err = nfkit_output(dev_net(dev), NULL, skb);
		break;
	case NFKIT_FITS_IN_FRAGMENTS:
		err = nfkit_output_fragments(dev_net(dev), skb);
		break;
	default:
		kfree_skb(skb);
		return NFKIT_TOO_BIG;
	}
	switch (err) {
	case NET_XMIT_CN:
		if (nfkit_went_down(dev))
			return NFKIT_DEVICE_DOWN;
		fallthrough;
	case NET_XMIT_SUCCESS:
		return NFKIT_SENT;
	case -EHOSTUNREACH:
		return NFKIT_UNRESOLVED;
	case -ENETDOWN:
		return NFKIT_DEVICE_DOWN;
	case -ENOMEM:
	case -ENOBUFS:
		return NFKIT_NO_MEMORY;
	default:
		return NFKIT_REFUSED;
	}
}

/* Whether the device took it. */
static bool nfkit_reroute_leave(const struct nfkit_output *output,
				struct sk_buff *skb, enum nfkit_fit fit)
{
	enum nfkit_counter result = nfkit_reroute_xmit(skb, fit);

	nfkit_count_output(output, result, 1);
	return result == NFKIT_SENT;
}

/* A copy that was queued. Under RCU. */
void nfkit_reroute_send(const struct nfkit_output *output, struct sk_buff *skb)
{
	u8 pf = skb->protocol == htons(ETH_P_IP) ? NFPROTO_IPV4 : NFPROTO_IPV6;

	nfkit_reroute_leave(output, skb, nfkit_fit(skb, skb_dst(skb), pf));
}

/* Whether a copy may leave by the device while its original is still here. */
static bool nfkit_reroute_direct(const struct nfkit_output *output,
				 const struct net_device *dev)
{
	return nfkit_layer2_direct(dev) &&
	       !(output->sinks->flags & NFKIT_TARGET_DEFER) &&
	       !nfkit_is_duplicating();
}

/*
 * Why there is no copy, or NFKIT_CLONED and one, with @direct: it fits and may
 * leave at once.
 */
static enum nfkit_counter nfkit_reroute_clone(const struct nfkit_output *output,
					      struct sk_buff *skb,
					      const struct nf_hook_state *state,
					      struct sk_buff **copy,
					      bool *direct)
{
	u32 mark = output->sinks->mark;
	enum nfkit_counter result;
	struct dst_entry *dst;
	enum nfkit_fit fit;

	if (nfkit_is_sending())
		return NFKIT_LOOP;
	if (state->pf != NFPROTO_IPV4 && state->pf != NFPROTO_IPV6)
		return NFKIT_NO_ROUTE;
	if (!skb_valid_dst(skb))
		return NFKIT_NO_ROUTE;
	dst = nfkit_route(state->net, skb, mark, state->pf);
	if (IS_ERR(dst))
		return PTR_ERR(dst) == -ENOBUFS ? NFKIT_NO_MEMORY :
						  NFKIT_UNROUTABLE;

	result = NFKIT_LOCAL;
	if (nfkit_route_is_local(dst, state->pf))
		goto release;
	result = NFKIT_SAME_DEVICE;
	if (dst->dev == state->in || dst->dev == state->out)
		goto release;
	result = NFKIT_TOO_BIG;
	fit = nfkit_fit(skb, dst, state->pf);
	if (fit == NFKIT_DOES_NOT_FIT)
		goto release;
	result = NFKIT_QUEUE_FULL;
	*direct = fit == NFKIT_FITS && nfkit_reroute_direct(output, dst->dev);
	if (!*direct && nfkit_queue_full(output))
		goto release;
	result = NFKIT_NO_MEMORY;
	*copy = nfkit_reroute_copy(skb, dst, mark, state->pf);
	if (!*copy)
		goto release;
	return NFKIT_CLONED;

release:
	dst_release(dst);
	return result;
}

/* With softirqs disabled; the packet stays as it is. Whether the copy was taken. */
bool nfkit_reroute(struct nfkit_output *output, struct sk_buff *skb,
		   const struct nf_hook_state *state)
{
	enum nfkit_counter result;
	struct sk_buff *copy;
	bool direct, sent;

	result = nfkit_reroute_clone(output, skb, state, &copy, &direct);
	nfkit_count_output(output, result, 1);
	if (result != NFKIT_CLONED)
		return false;
	if (!direct) {
		nfkit_queue_add(output, copy);
		return true;
	}
	nfkit_send_begin();
	sent = nfkit_reroute_leave(output, copy, NFKIT_FITS);
	nfkit_send_end();
	return sent;
}
