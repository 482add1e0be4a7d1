// SPDX-License-Identifier: GPL-2.0
/* Copies that leave by a device as frames, without a route. */
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/string.h>
#include <net/rtnetlink.h>

#include "frame.h"
#include "options.h"
#include "sending.h"
#include "target.h"

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

/*
 * With tags in the frame: one of them does not count, nor does it for
 * is_skb_forwardable(). They are counted from the MAC header on: the network
 * header is at the first of them or behind them, by who made the frame.
 */
static bool nfkit_layer2_fits_tagged(const struct sk_buff *skb,
				     unsigned int mtu, u32 snaplen)
{
	unsigned int most = mtu + ETH_HLEN + VLAN_HLEN;
	int length = skb->len - skb_mac_offset(skb);

	if (length <= (int)most || (snaplen && snaplen <= most))
		return true;
	return skb_is_gso(skb) && skb_shinfo(skb)->gso_type &&
	       skb_gso_validate_mac_len(skb, most);
}

/* Whether what may be longer than the MTU can be sent nevertheless. */
static noinline bool nfkit_layer2_fits_yet(const struct sk_buff *skb,
					   unsigned int mtu, u32 snaplen)
{
	/* At egress the data begins with the MAC header, which no MTU counts. */
	int length = skb->len - skb_network_offset(skb);

	if (eth_type_vlan(skb->protocol))
		return nfkit_layer2_fits_tagged(skb, mtu, snaplen);
	if (length <= (int)mtu || (snaplen && snaplen <= mtu + ETH_HLEN))
		return true;
	return skb_is_gso(skb) && skb_shinfo(skb)->gso_type &&
	       skb_gso_validate_network_len(skb, mtu);
}

/* Data begins at the MAC header or behind it: up to the MTU it always fits. */
static __always_inline bool nfkit_layer2_fits(const struct sk_buff *skb,
					      const struct net_device *dev,
					      u32 snaplen)
{
	unsigned int mtu = READ_ONCE(dev->mtu);

	return likely(skb->len <= mtu) ||
	       nfkit_layer2_fits_yet(skb, mtu, snaplen);
}

/* Why there is no copy; NFKIT_CLONED: there can be one, unless it is a loop. */
static __always_inline enum nfkit_counter
nfkit_layer2_check(const struct sk_buff *skb, const struct net_device *dev,
		   const struct nf_hook_state *state, u32 snaplen)
{
	if (!dev)
		return NFKIT_NO_DEVICE;
	/* For netfilter a bridged packet comes from the bridge and goes to it. */
	if (dev == state->in || dev == state->out || dev == skb->dev ||
	    dev->ifindex == skb->skb_iif)
		return NFKIT_SAME_DEVICE;
	if (!nfkit_layer2_fits(skb, dev, snaplen))
		return NFKIT_TOO_BIG;
	return NFKIT_CLONED;
}

/* One of the frame that is kept for all outputs, of which the last takes it. */
static __always_inline struct sk_buff *
nfkit_layer2_copy(struct sk_buff *skb, struct net_device *dev,
		  const struct nf_hook_state *state, struct sk_buff **frame,
		  bool last)
{
	struct sk_buff *copy = *frame;

	if (!copy) {
		copy = nfkit_frame(skb, state, dev);
		if (unlikely(!copy))
			return NULL;
	}
	*frame = NULL;
	if (!last) {
		*frame = copy;
		copy = skb_clone(copy, GFP_ATOMIC);
		if (unlikely(!copy))
			return NULL;
	}
	copy->dev = dev;
	return copy;
}

/* One frame, by a device that is active. */
static __always_inline enum nfkit_counter
nfkit_layer2_xmit(struct sk_buff *skb, struct net_device *dev)
{
	int err = dev_queue_xmit(skb);

	if (likely(err == NET_XMIT_SUCCESS))
		return NFKIT_SENT;
	if (err == NET_XMIT_CN)
		return nfkit_went_down(dev) ? NFKIT_DEVICE_DOWN : NFKIT_SENT;
	return err == -ENETDOWN ? NFKIT_DEVICE_DOWN : NFKIT_REFUSED;
}

/* Sends a copy, a list if it is in segments. Whether the device took it. */
bool nfkit_layer2_send(const struct nfkit_output *output, struct sk_buff *skb)
{
	enum nfkit_counter result = NFKIT_DEVICE_DOWN;
	struct net_device *dev = skb->dev;
	unsigned int length;
	struct sk_buff *next;

	if (nfkit_is_active(dev)) {
		do {
			next = skb->next;
			skb_mark_not_on_list(skb);
			length = skb->len;
			result = nfkit_layer2_xmit(skb, dev);
			if (result == NFKIT_SENT)
				nfkit_count_output(output, NFKIT_BYTES, length);
			skb = next;
		} while (skb && result == NFKIT_SENT);
	}
	kfree_skb_list(skb);
	nfkit_count_output(output, result, 1);
	return result == NFKIT_SENT;
}

static void nfkit_layer2_count_sent(struct nfkit_counters *counters,
				    unsigned int bytes)
{
	nfkit_count_here(counters, NFKIT_CLONED, 1);
	nfkit_count_here(counters, NFKIT_SENT, 1);
	nfkit_count_here(counters, NFKIT_BYTES, bytes);
}

/* The same at once, for what is a single frame nearly always, and counts it. */
static __always_inline bool
nfkit_layer2_send_now(const struct nfkit_output *output,
		      struct net_device *dev, struct sk_buff *skb,
		      struct nfkit_counters *counters)
{
	unsigned int length = skb->len;
	enum nfkit_counter result;
	bool sent;

	nfkit_send_begin();
	if (unlikely(skb->next || !nfkit_is_active(dev))) {
		nfkit_count_output(output, NFKIT_CLONED, 1);
		sent = nfkit_layer2_send(output, skb);
		nfkit_send_end();
		return sent;
	}
	result = nfkit_layer2_xmit(skb, dev);
	nfkit_send_end();
	if (unlikely(result != NFKIT_SENT)) {
		nfkit_count_output(output, NFKIT_CLONED, 1);
		nfkit_count_output(output, result, 1);
		return false;
	}
	nfkit_layer2_count_sent(counters, length);
	if (output->counters)
		nfkit_layer2_count_sent(this_cpu_ptr(output->counters), length);
	return true;
}

/*
 * With softirqs disabled, under RCU; the packet stays as it is. What the outputs
 * of a packet have in common is kept in @frame; @counters are the target's.
 * Whether the copy was taken.
 */
static noinline bool nfkit_layer2_any(struct nfkit_output *output,
				      struct nfkit_counters *counters,
				      struct sk_buff *skb,
				      const struct nf_hook_state *state,
				      struct sk_buff **frame, bool last)
{
	struct net_device *dev = rcu_dereference(output->dev);
	bool direct = dev && rcu_access_pointer(output->direct) == dev &&
		      !nfkit_is_duplicating();
	struct sk_buff *copy = NULL;
	enum nfkit_counter result;

	result = nfkit_is_sending() ? NFKIT_LOOP :
		 nfkit_layer2_check(skb, dev, state, output->sinks->snaplen);
	if (result == NFKIT_CLONED && !direct && nfkit_queue_full(output))
		result = NFKIT_QUEUE_FULL;
	if (result == NFKIT_CLONED) {
		copy = nfkit_layer2_copy(skb, dev, state, frame, last);
		if (copy && output->edits)
			copy = nfkit_frame_edit(copy, output);
		if (!copy)
			result = NFKIT_NO_MEMORY;
	}
	if (!copy) {
		nfkit_count_output(output, result, 1);
		return false;
	}
	if (direct)
		return nfkit_layer2_send_now(output, dev, copy, counters);
	nfkit_count_output(output, NFKIT_CLONED, 1);
	nfkit_queue_add(output, copy);
	return true;
}

/*
 * Whether the frame as it is can leave at once, by @dev if there is one. Who
 * sends a copy is duplicating too.
 */
static __always_inline bool
nfkit_layer2_is_plain(const struct net_device *dev, const struct sk_buff *skb,
		      const struct nf_hook_state *state)
{
	return dev && !nfkit_is_duplicating() &&
	       nfkit_layer2_check(skb, dev, state, 0) == NFKIT_CLONED;
}

/*
 * As nfkit_layer2_any(). What nearly every packet meets is here in a row, and in
 * no function of its own: each call has its price.
 */
static __always_inline bool
nfkit_layer2_output(struct nfkit_output *output,
		    struct nfkit_counters *counters, struct sk_buff *skb,
		    const struct nf_hook_state *state, struct sk_buff **frame,
		    bool last)
{
	struct net_device *dev = rcu_dereference(output->direct);
	struct sk_buff *copy;

	if (unlikely(output->edits || !nfkit_layer2_is_plain(dev, skb, state)))
		return nfkit_layer2_any(output, counters, skb, state, frame,
					last);
	copy = nfkit_layer2_copy(skb, dev, state, frame, last);
	if (likely(copy))
		return nfkit_layer2_send_now(output, dev, copy, counters);
	nfkit_count_output(output, NFKIT_NO_MEMORY, 1);
	return false;
}

static noinline bool nfkit_layer2_alone(struct nfkit_output *output,
					struct nfkit_counters *counters,
					struct sk_buff *skb,
					const struct nf_hook_state *state)
{
	struct sk_buff *frame = NULL;

	return nfkit_layer2_any(output, counters, skb, state, &frame, true);
}

/* The only output of a plain target. */
bool nfkit_layer2_one(struct nfkit_output *output,
		      struct nfkit_counters *counters, struct sk_buff *skb,
		      const struct nf_hook_state *state)
{
	struct net_device *dev = rcu_dereference(output->direct);
	struct sk_buff *frame = NULL;
	struct sk_buff *copy;

	if (unlikely(!nfkit_layer2_is_plain(dev, skb, state)))
		return nfkit_layer2_alone(output, counters, skb, state);
	copy = nfkit_layer2_copy(skb, dev, state, &frame, true);
	if (likely(copy))
		return nfkit_layer2_send_now(output, dev, copy, counters);
	nfkit_count_output(output, NFKIT_NO_MEMORY, 1);
	return false;
}

/* A copy by each output of a target; whether one was taken. */
bool nfkit_layer2(struct nfkit_sinks *sinks, struct nfkit_counters *counters,
		  struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct nfkit_output *output = sinks->outputs;
	const struct nfkit_output *end = output + sinks->count;
	struct sk_buff *frame = NULL;
	bool taken = false;

	for (; output < end; output++)
		taken |= nfkit_layer2_output(output, counters, skb, state,
					     &frame, output + 1 == end);
	if (frame)
		consume_skb(frame);
	return taken;
}

/* The targets of a rule that names devices, which have no other sink. */
void nfkit_clone_devices(struct nfkit_target *const *targets,
			 unsigned int count, struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	struct nfkit_target *const *end = targets + count;
	struct sk_buff *frame = NULL;

	nfkit_options_sum(skb, state);
	for (; targets < end; targets++) {
		struct nfkit_counters *counters;
		struct nfkit_sinks *sinks;

		counters = this_cpu_ptr((*targets)->counters);
		nfkit_count_here(counters, NFKIT_SEEN, 1);
		sinks = rcu_dereference((*targets)->sinks);
		nfkit_layer2_output(&sinks->outputs[0], counters, skb, state,
				    &frame, targets + 1 == end);
	}
	if (frame)
		consume_skb(frame);
}
