// SPDX-License-Identifier: GPL-2.0
/*
 * Copies of packets as frames.
 *
 * One has the MAC header that the packet came in with. What was made on this
 * box has none yet: then the copy comes from the address of the original's
 * device and is for nobody, 00:00:00:00:00:00.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>

#include "compat.h"
#include "frame.h"
#include "target.h"

/* All of a packet that is linear, in a part of a page, which is had soonest. */
static struct sk_buff *nfkit_copy_linear(struct sk_buff *skb, unsigned int room,
					 unsigned int size)
{
	struct sk_buff *copy;
	void *head;

	head = napi_alloc_frag(size);
	if (!head)
		return NULL;
	copy = build_skb(head, size);
	if (!copy) {
		skb_free_frag(head);
		return NULL;
	}
	skb_reserve(copy, room);
	memcpy(__skb_put(copy, skb->len), skb->data, skb->len);
	skb_copy_header(copy, skb);
	return copy;
}

/* From skb->data on, with a head of its own. */
static struct sk_buff *nfkit_copy_head(struct sk_buff *skb, int room)
{
	int headroom = skb_headroom(skb);
	struct sk_buff *copy;
	unsigned int size;

	room = max(room, headroom);
	size = SKB_DATA_ALIGN(room + skb->len) +
	       SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	if (!skb_is_nonlinear(skb) && size <= PAGE_SIZE)
		copy = nfkit_copy_linear(skb, room, size);
	else
		copy = __pskb_copy(skb, room, GFP_ATOMIC);
	if (copy && room != headroom)
		skb_headers_offset_update(copy, room - headroom);
	return copy;
}

static void nfkit_make_header(struct sk_buff *copy,
			      const struct nf_hook_state *state)
{
	struct ethhdr *eth;

	if (nfkit_is_ip(state))
		copy->protocol = state->pf == NFPROTO_IPV4 ? htons(ETH_P_IP) :
							     htons(ETH_P_IPV6);
	eth = skb_push(copy, ETH_HLEN);
	eth_zero_addr(eth->h_dest);
	if (state->out && state->out->type == ARPHRD_ETHER)
		ether_addr_copy(eth->h_source, state->out->dev_addr);
	else
		eth_zero_addr(eth->h_source);
	eth->h_proto = copy->protocol;
}

static struct sk_buff *nfkit_frame_without_header(struct sk_buff *skb,
						  const struct nf_hook_state *state,
						  int room)
{
	int before = skb_network_offset(skb);
	struct sk_buff *copy;

	copy = nfkit_copy_head(skb, room + ETH_HLEN);
	if (!copy)
		return NULL;
	/* Of a device that has other headers. */
	if (before > 0 && !pskb_pull(copy, before)) {
		kfree_skb(copy);
		return NULL;
	}
	nfkit_make_header(copy, state);
	return copy;
}

/* As nfkit_frame(), where the packet's head cannot be shared. */
struct sk_buff *nfkit_frame_with_head(struct sk_buff *skb,
				      const struct nf_hook_state *state,
				      const struct net_device *dev, int mac_len)
{
	int room = LL_RESERVED_SPACE(dev);
	struct sk_buff *copy;

	if (mac_len < 0)
		return nfkit_frame_without_header(skb, state, room);
	__skb_push(skb, mac_len);
	copy = nfkit_copy_head(skb, room);
	__skb_pull(skb, mac_len);
	return copy;
}

/* One frame that is not to be cut into segments. */
static int nfkit_trim(struct sk_buff *frame, u32 length)
{
	if (frame->len <= length)
		return 0;
	/* Also where it is not that of IP: SCTP has another. */
	if (frame->ip_summed == CHECKSUM_PARTIAL &&
	    skb_csum_hwoffload_help(frame, 0))
		return -ENOMEM;
	frame->ip_summed = CHECKSUM_NONE;
	return pskb_trim(frame, length);
}

/* Segments are a list. NULL: no memory. */
static struct sk_buff *nfkit_snap(struct sk_buff *frame, u32 length)
{
	struct sk_buff *segments = frame, *segment;

	if (frame->len <= length)
		return frame;
	if (skb_is_gso(frame)) {
		segments = skb_gso_segment(frame, 0);
		if (IS_ERR_OR_NULL(segments)) {
			kfree_skb(frame);
			return NULL;
		}
		consume_skb(frame);
	}
	skb_list_walk_safe(segments, segment, frame) {
		if (nfkit_trim(segment, length)) {
			kfree_skb_list(segments);
			return NULL;
		}
	}
	return segments;
}

static int nfkit_address(struct sk_buff *frame,
			 const struct nfkit_output_config *config)
{
	if (config->flags & NFKIT_OUTPUT_DESTINATION) {
		if (skb_cow_head(frame, 0))
			return -ENOMEM;
		ether_addr_copy(eth_hdr(frame)->h_dest, config->destination);
	}
	if (config->flags & NFKIT_OUTPUT_VLAN)
		return skb_vlan_push(frame, htons(config->vlan_protocol),
				     config->vlan_tci);
	return 0;
}

/*
 * What an output wants of the frame, which it has for itself: a frame, or a list
 * of segments. NULL: no memory, and the frame is gone.
 */
struct sk_buff *nfkit_frame_edit(struct sk_buff *frame,
				 const struct nfkit_output *output)
{
	if (output->config.flags && nfkit_address(frame, &output->config)) {
		kfree_skb(frame);
		return NULL;
	}
	if (!output->sinks->snaplen)
		return frame;
	return nfkit_snap(frame, output->sinks->snaplen);
}
