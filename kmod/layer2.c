// SPDX-License-Identifier: GPL-2.0
/*
 * A copy that leaves by a device as a frame, without a route.
 *
 * It has the MAC header that the packet came in with. What was made on this
 * box has none yet: then the copy comes from the address of the original's
 * device and is for nobody, 00:00:00:00:00:00.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>

#include "compat.h"
#include "nfkit.h"

/* How long the MAC header before the packet is; 0 if there is none. */
static int nfkit_mac_len(const struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	long len;

	if (state->hook == NF_INET_LOCAL_OUT || !skb->skb_iif ||
	    !skb_mac_header_was_set(skb))
		return 0;
	if (state->in && state->in->type != ARPHRD_ETHER &&
	    state->in->type != ARPHRD_LOOPBACK)
		return 0;
	len = skb->data - skb_mac_header(skb);
	return len >= ETH_HLEN && len <= ETH_HLEN + 2 * VLAN_HLEN ? len : 0;
}

static bool nfkit_layer2_fits(const struct sk_buff *skb,
			      const struct net_device *dev)
{
	unsigned int mtu = READ_ONCE(dev->mtu);

	if (!skb_is_gso(skb))
		return skb->len <= mtu;
	return skb_shinfo(skb)->gso_type &&
	       skb_gso_validate_network_len(skb, mtu);
}

/* From skb->data on, with a head of its own. */
static struct sk_buff *nfkit_copy_head(struct sk_buff *skb, int room)
{
	int headroom = skb_headroom(skb);
	struct sk_buff *copy;

	room = max(room, headroom);
	copy = __pskb_copy(skb, room, GFP_ATOMIC);
	if (copy && room != headroom)
		skb_headers_offset_update(copy, room - headroom);
	return copy;
}

static void nfkit_make_header(struct sk_buff *copy,
			      const struct nf_hook_state *state)
{
	struct ethhdr *eth = skb_push(copy, ETH_HLEN);

	skb_reset_mac_header(copy);
	eth_zero_addr(eth->h_dest);
	if (state->out && state->out->type == ARPHRD_ETHER)
		ether_addr_copy(eth->h_source, state->out->dev_addr);
	else
		eth_zero_addr(eth->h_source);
	eth->h_proto = state->pf == NFPROTO_IPV4 ? htons(ETH_P_IP) :
						   htons(ETH_P_IPV6);
	copy->protocol = eth->h_proto;
}

/*
 * The original gets another MAC header on its way out, so the copy needs a
 * head of its own, but for what is delivered here.
 */
static struct sk_buff *nfkit_layer2_copy(struct sk_buff *skb,
					 struct net_device *dev,
					 const struct nf_hook_state *state)
{
	int room = LL_RESERVED_SPACE(dev);
	int mac_len = nfkit_mac_len(skb, state);
	struct sk_buff *copy;

	if (!mac_len) {
		copy = nfkit_copy_head(skb, room + ETH_HLEN);
		if (copy)
			nfkit_make_header(copy, state);
	} else if (state->hook == NF_INET_LOCAL_IN) {
		copy = skb_clone(skb, GFP_ATOMIC);
		if (copy)
			__skb_push(copy, mac_len);
	} else {
		__skb_push(skb, mac_len);
		copy = nfkit_copy_head(skb, room);
		__skb_pull(skb, mac_len);
	}
	if (!copy)
		return NULL;
	skb_scrub_packet(copy, false);
	skb_clear_tstamp(copy);
	skb_forward_csum(copy);
	/* Given back when it is sent or flushed. */
	dev_hold(dev);
	copy->dev = dev;
	return copy;
}

static enum nfkit_counter nfkit_layer2_queue(struct nfkit_target *target,
					     struct sk_buff *skb,
					     const struct nf_hook_state *state)
{
	struct net_device *dev = rcu_dereference(target->dev);
	struct sk_buff *copy;

	if (nfkit_queue_sending())
		return NFKIT_LOOP;
	if (!dev)
		return NFKIT_NO_DEVICE;
	/* For netfilter a bridged packet comes from the bridge and goes to it. */
	if (dev == state->in || dev == state->out || dev == skb->dev ||
	    dev->ifindex == skb->skb_iif)
		return NFKIT_SAME_DEVICE;
	if (nfkit_queue_full(target->nn))
		return NFKIT_QUEUE_FULL;
	if (!nfkit_layer2_fits(skb, dev))
		return NFKIT_TOO_BIG;
	copy = nfkit_layer2_copy(skb, dev, state);
	if (!copy)
		return NFKIT_NO_MEMORY;
	nfkit_queue_add(target, copy);
	return NFKIT_CLONED;
}

/* With softirqs disabled, at a hook of IPv4 or IPv6; the packet stays as it is. */
void nfkit_layer2(struct nfkit_target *target, struct sk_buff *skb,
		  const struct nf_hook_state *state)
{
	nfkit_count(target, NFKIT_SEEN);
	nfkit_count(target, nfkit_layer2_queue(target, skb, state));
}

/* Sends a queued copy, and says what became of it. */
enum nfkit_counter nfkit_layer2_send(struct sk_buff *skb)
{
	struct net_device *dev = skb->dev;
	enum nfkit_counter result;

	if (!netif_running(dev) || !netif_carrier_ok(dev)) {
		kfree_skb(skb);
		result = NFKIT_DEVICE_DOWN;
	} else {
		result = dev_queue_xmit(skb) == NET_XMIT_SUCCESS ?
			 NFKIT_SENT : NFKIT_REFUSED;
	}
	dev_put(dev);
	return result;
}
