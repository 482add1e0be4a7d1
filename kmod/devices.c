// SPDX-License-Identifier: GPL-2.0
/*
 * Copies that leave as the frames that came in: with their MAC header and VLAN
 * tag, without a route or neighbour, by one device or several.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <net/netfilter/nf_conntrack.h>

#include "compat.h"
#include "nfkit.h"

/*
 * What this box itself sends has no MAC header before its neighbour is known;
 * what came from a tunnel of IP packets has none either.
 */
static bool nfkit_has_header(const struct sk_buff *skb,
			     const struct nf_hook_state *state)
{
	return state->in && skb_mac_header_was_set(skb) &&
	       (state->in->type == ARPHRD_ETHER ||
		state->in->type == ARPHRD_LOOPBACK) &&
	       skb_mac_offset(skb) <= -ETH_HLEN;
}

/*
 * The packet as a frame. Once it is forwarded, another MAC header is written
 * over its own, which clones share, so there the copy gets a head to itself.
 */
static struct sk_buff *nfkit_frame(struct sk_buff *skb,
				   const struct nf_hook_state *state)
{
	int header = -skb_mac_offset(skb);
	struct sk_buff *copy;

	copy = skb_clone(skb, GFP_ATOMIC);
	if (!copy)
		return NULL;
	if ((state->hook == NF_INET_FORWARD ||
	     state->hook == NF_INET_POST_ROUTING) &&
	    pskb_expand_head(copy, 0, 0, GFP_ATOMIC)) {
		kfree_skb(copy);
		return NULL;
	}
	skb_scrub_packet(copy, false);
	nf_ct_set(copy, NULL, IP_CT_UNTRACKED);
	skb_clear_tstamp(copy);
	skb_forward_csum(copy);
	__skb_push(copy, header);
	skb_reset_mac_header(copy);
	skb_reset_mac_len(copy);
	/* A bridge has moved past tags that the frame still has. */
	if (header > ETH_HLEN)
		copy->protocol = eth_hdr(copy)->h_proto;
	copy->dev = NULL;
	return copy;
}

static enum nfkit_counter nfkit_devices_queue(struct nfkit_output *output,
					      struct sk_buff **frame,
					      struct sk_buff *skb,
					      const struct nf_hook_state *state)
{
	const struct net_device *dev = rcu_dereference(output->dev);
	struct sk_buff *copy;

	if (nfkit_queue_sending())
		return NFKIT_LOOP;
	if (!nfkit_has_header(skb, state))
		return NFKIT_NO_HEADER;
	if (dev && (dev == state->in || dev == state->out))
		return NFKIT_SAME_DEVICE;
	if (nfkit_queue_full(output->target->nn))
		return NFKIT_QUEUE_FULL;
	if (!*frame)
		*frame = nfkit_frame(skb, state);
	copy = *frame ? skb_clone(*frame, GFP_ATOMIC) : NULL;
	if (!copy)
		return NFKIT_NO_MEMORY;
	nfkit_queue_add(output->target, output, copy);
	return NFKIT_CLONED;
}

/* With softirqs disabled, under RCU; the packet stays as it is. */
void nfkit_devices(struct nfkit_sinks *sinks, struct sk_buff *skb,
		   const struct nf_hook_state *state)
{
	struct sk_buff *frame = NULL;
	unsigned int i;

	for (i = 0; i < sinks->count; i++) {
		struct nfkit_output *output = &sinks->outputs[i];

		nfkit_count_in(output->counters, NFKIT_SEEN, 1);
		nfkit_count_output(output, nfkit_devices_queue(output, &frame,
							       skb, state));
	}
	consume_skb(frame);
}

/* What an output changes in its frames, which it shares until then. */
static int nfkit_output_edit(const struct nfkit_output_config *config,
			     struct sk_buff *skb)
{
	if (config->flags & NFKIT_OUTPUT_DESTINATION) {
		if (skb_cow_head(skb, 0))
			return -ENOMEM;
		ether_addr_copy(eth_hdr(skb)->h_dest, config->destination);
	}
	if (config->flags & NFKIT_OUTPUT_VLAN)
		return skb_vlan_push(skb, htons(config->vlan_protocol),
				     config->vlan_tci);
	return 0;
}

/* Sends a queued copy, and says what became of it. With softirqs disabled. */
enum nfkit_counter nfkit_devices_send(struct nfkit_output *output,
				      struct sk_buff *skb)
{
	enum nfkit_counter result = NFKIT_DEVICE_DOWN;
	struct net_device *dev;
	unsigned int length;

	rcu_read_lock();
	dev = rcu_dereference(output->dev);
	if (!dev || !netif_running(dev) || !netif_carrier_ok(dev))
		goto drop;
	skb->dev = dev;
	result = NFKIT_NO_MEMORY;
	if (nfkit_output_edit(&output->config, skb))
		goto drop;
	result = NFKIT_TOO_BIG;
	if (!is_skb_forwardable(dev, skb))
		goto drop;

	length = skb->len;
	switch (dev_queue_xmit(skb)) {
	case NET_XMIT_SUCCESS:
		nfkit_count_in(output->counters, NFKIT_BYTES, length);
		nfkit_count_in(output->target->counters, NFKIT_BYTES, length);
		result = NFKIT_SENT;
		break;
	case -ENETDOWN:
		result = NFKIT_DEVICE_DOWN;
		break;
	case -ENOMEM:
		result = NFKIT_NO_MEMORY;
		break;
	default:
		result = NFKIT_REFUSED;
	}
	rcu_read_unlock();
	return result;

drop:
	rcu_read_unlock();
	kfree_skb(skb);
	return result;
}
