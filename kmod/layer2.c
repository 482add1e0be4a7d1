// SPDX-License-Identifier: GPL-2.0
/* Copies that leave by a device as frames, without a route. */
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/string.h>
#include <net/rtnetlink.h>
#include <net/sch_generic.h>

#include "compat.h"
#include "nfkit.h"

/*
 * Devices whose frames do not come back to netfilter before they are sent: those
 * of hardware, and those that hand frames over to a queue.
 */
bool nfkit_layer2_direct(const struct net_device *dev)
{
	static const char * const kinds[] = { "veth", "dummy", "ifb", "tun" };

	if (!dev->rtnl_link_ops)
		return dev->dev.parent;
	return match_string(kinds, ARRAY_SIZE(kinds),
			    dev->rtnl_link_ops->kind) >= 0;
}

static bool nfkit_layer2_fits(const struct sk_buff *skb,
			      const struct net_device *dev, u32 snaplen)
{
	unsigned int mtu = READ_ONCE(dev->mtu);
	/* At egress the data begins with the MAC header, which no MTU counts. */
	int length = skb->len - skb_network_offset(skb);

	if (length <= (int)mtu || (snaplen && snaplen <= mtu + ETH_HLEN))
		return true;
	return skb_is_gso(skb) && skb_shinfo(skb)->gso_type &&
	       skb_gso_validate_network_len(skb, mtu);
}

/* Why there is no copy; NFKIT_CLONED: there can be one. */
static enum nfkit_counter nfkit_layer2_check(const struct nfkit_output *output,
					     const struct sk_buff *skb,
					     const struct net_device *dev,
					     const struct nf_hook_state *state,
					     bool direct)
{
	if (nfkit_queue_sending())
		return NFKIT_LOOP;
	if (!dev)
		return NFKIT_NO_DEVICE;
	/* For netfilter a bridged packet comes from the bridge and goes to it. */
	if (dev == state->in || dev == state->out || dev == skb->dev ||
	    dev->ifindex == skb->skb_iif)
		return NFKIT_SAME_DEVICE;
	if (!nfkit_layer2_fits(skb, dev, output->sinks->snaplen))
		return NFKIT_TOO_BIG;
	return !direct && nfkit_queue_full(output) ? NFKIT_QUEUE_FULL :
						     NFKIT_CLONED;
}

/* The copy of an output; the last one needs not leave the frame to others. */
static struct sk_buff *nfkit_layer2_copy(const struct nfkit_output *output,
					 struct sk_buff *skb,
					 struct net_device *dev,
					 const struct nf_hook_state *state,
					 struct sk_buff **frame, bool last)
{
	struct sk_buff *copy;

	if (!*frame)
		*frame = nfkit_frame(skb, state, dev);
	if (!*frame)
		return NULL;
	if (last) {
		copy = *frame;
		*frame = NULL;
	} else {
		copy = skb_clone(*frame, GFP_ATOMIC);
		if (!copy)
			return NULL;
	}
	copy->dev = dev;
	return nfkit_frame_edit(copy, output);
}

/*
 * With softirqs disabled, under RCU; the packet stays as it is. What the outputs
 * of a packet have in common is kept in @frame. Whether the copy was taken.
 */
bool nfkit_layer2(struct nfkit_output *output, struct sk_buff *skb,
		  const struct nf_hook_state *state, struct sk_buff **frame,
		  bool last)
{
	struct net_device *dev = rcu_dereference(output->dev);
	bool direct = dev && READ_ONCE(output->direct) == dev &&
		      !(output->sinks->flags & NFKIT_TARGET_DEFER) &&
		      !nfkit_is_duplicating();
	struct sk_buff *copy = NULL;
	enum nfkit_counter result;
	bool sent;

	result = nfkit_layer2_check(output, skb, dev, state, direct);
	if (result == NFKIT_CLONED) {
		copy = nfkit_layer2_copy(output, skb, dev, state, frame, last);
		if (!copy)
			result = NFKIT_NO_MEMORY;
	}
	nfkit_count_output(output, result, 1);
	if (!copy)
		return false;
	if (!direct) {
		nfkit_queue_add(output, copy);
		return true;
	}
	nfkit_queue_send_begin();
	sent = nfkit_layer2_send(output, copy);
	nfkit_queue_send_end();
	return sent;
}

static enum nfkit_counter nfkit_layer2_xmit(const struct nfkit_output *output,
					    struct sk_buff *skb)
{
	const struct net_device *dev = skb->dev;
	unsigned int length = skb->len;

	switch (dev_queue_xmit(skb)) {
	case NET_XMIT_CN:
		/* That of a device which is just going down, or coming up. */
		if (qdisc_tx_is_noop(dev))
			return NFKIT_DEVICE_DOWN;
		/* It took this one, and dropped another. */
		fallthrough;
	case NET_XMIT_SUCCESS:
		nfkit_count_output(output, NFKIT_BYTES, length);
		return NFKIT_SENT;
	case -ENETDOWN:
		return NFKIT_DEVICE_DOWN;
	default:
		return NFKIT_REFUSED;
	}
}

/* Sends a copy, a list if it is in segments. Whether the device took it. */
bool nfkit_layer2_send(const struct nfkit_output *output, struct sk_buff *skb)
{
	const struct net_device *dev = skb->dev;
	enum nfkit_counter result = NFKIT_DEVICE_DOWN;
	struct sk_buff *next;

	if (netif_running(dev) && netif_carrier_ok(dev)) {
		do {
			next = skb->next;
			skb_mark_not_on_list(skb);
			result = nfkit_layer2_xmit(output, skb);
			skb = next;
		} while (skb && result == NFKIT_SENT);
	}
	kfree_skb_list(skb);
	nfkit_count_output(output, result, 1);
	return result == NFKIT_SENT;
}
