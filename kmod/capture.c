// SPDX-License-Identifier: GPL-2.0
/* Packets of clone targets for descriptors that capture them: see uapi/nfkit_record.h. */
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/rculist.h>
#include <linux/skbuff.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "frame.h"
#include "reader.h"
#include "target.h"

#define NFKIT_DEFAULT_BUFFER	(1024 * 1024)

/*
 * Where the packet's first header is, from skb->data on: that of Ethernet, or
 * where it has none that of IP.
 */
static int nfkit_first_header(const struct sk_buff *skb,
			      const struct nf_hook_state *state, u16 *link)
{
	int mac_len = nfkit_mac_len(skb, state);
	int offset = skb_network_offset(skb);

	*link = mac_len < 0 ? NFKIT_LINK_RAW : NFKIT_LINK_EN10MB;
	if (mac_len >= 0)
		return -mac_len;
	/* Whoever made the packet may not have said where that is. */
	return offset >= 0 && offset <= skb_headlen(skb) ? offset : 0;
}

static void nfkit_describe(struct nfkit_packet_record *packet,
			   const struct sk_buff *skb,
			   const struct nf_hook_state *state, u8 point)
{
	packet->record.type = NFKIT_RECORD_PACKET;
	packet->record.header = sizeof(*packet);
	packet->in = state->in ? state->in->ifindex : 0;
	packet->out = state->out ? state->out->ifindex : 0;
	packet->mark = skb->mark;
	if (skb_vlan_tag_present(skb)) {
		packet->vlan_protocol = ntohs(skb->vlan_proto);
		packet->vlan_tci = skb_vlan_tag_get(skb);
	}
	packet->point = point;
	if (skb->ip_summed == CHECKSUM_PARTIAL)
		packet->flags = NFKIT_PACKET_CHECKSUM_PARTIAL;
	if (skb_is_gso(skb))
		packet->gso_size = skb_shinfo(skb)->gso_size;
}

static bool nfkit_capture_store(struct nfkit_reader *reader,
				struct nfkit_packet_record *packet,
				const struct sk_buff *skb, int from, u32 most)
{
	struct nfkit_ring *ring = &reader->packets;
	u32 at;

	packet->captured = min(most, reader->snaplen);
	packet->record.length = sizeof(*packet) + packet->captured;
	if (!nfkit_ring_reserve(ring, &packet->record, &at)) {
		nfkit_reader_filled(reader, false);
		return false;
	}
	nfkit_ring_write(ring, at, sizeof(packet->record.length),
			 (char *)packet + sizeof(packet->record.length),
			 sizeof(*packet) - sizeof(packet->record.length));
	nfkit_ring_write_skb(ring, at, sizeof(*packet), skb, from,
			     packet->captured);
	nfkit_ring_commit(ring, at, packet->record.length);
	nfkit_reader_filled(reader, false);
	return true;
}

/*
 * A record for everyone who captures the target. With softirqs disabled, under
 * RCU; the packet stays as it is. @bytes: what the longest record keeps of it.
 */
enum nfkit_counter nfkit_capture_packet(struct nfkit_target *target,
					struct sk_buff *skb,
					const struct nf_hook_state *state,
					u8 point, u32 snaplen,
					unsigned int *bytes)
{
	enum nfkit_counter result = NFKIT_NO_READER;
	struct nfkit_packet_record packet = {};
	struct nfkit_reader *reader;
	u32 most;
	int from;

	*bytes = 0;
	list_for_each_entry_rcu(reader, &target->readers, captures) {
		if (result == NFKIT_NO_READER) {
			result = NFKIT_BUFFER_FULL;
			nfkit_describe(&packet, skb, state, point);
			from = nfkit_first_header(skb, state, &packet.link);
			packet.wire_length = skb->len - from;
			most = min_t(u32, snaplen ?: NFKIT_MAX_SNAPLEN,
				     nfkit_readable(skb) - from);
		}
		if (!nfkit_capture_store(reader, &packet, skb, from, most))
			continue;
		result = NFKIT_CLONED;
		*bytes = max(*bytes, packet.captured);
	}
	return result;
}

static bool nfkit_capture_valid(const struct nfkit_capture *capture)
{
	return !capture->flags && nfkit_name_field_valid(capture->target) &&
	       capture->snaplen <= NFKIT_MAX_SNAPLEN &&
	       (!capture->buffer || (capture->buffer >= NFKIT_MIN_BUFFER &&
				     capture->buffer <= NFKIT_MAX_BUFFER));
}

/* Counts a capture and its buffer in, before they are made. */
static int nfkit_capture_prepare(struct nfkit_file *file, struct nfkit_net *nn,
				 u32 size)
{
	struct nfkit_reader *reader;
	int err;

	lockdep_assert_held(&nn->lock);
	reader = nfkit_reader_get(file);
	if (!reader)
		return -ENOMEM;
	if (reader->capturing)
		return -EBUSY;
	if (nn->capture_count >= NFKIT_MAX_CAPTURES)
		return -ENOSPC;
	err = nfkit_reader_take_memory(nn, size);
	if (err)
		return err;
	nn->capture_count++;
	reader->capturing = true;
	return 0;
}

static void nfkit_capture_withdraw(struct nfkit_reader *reader,
				   struct nfkit_net *nn, u32 size)
{
	mutex_lock(&nn->lock);
	nfkit_reader_give_memory(nn, size);
	nn->capture_count--;
	reader->capturing = false;
	mutex_unlock(&nn->lock);
}

u64 nfkit_capture_features(void)
{
	return NFKIT_FEATURE_CAPTURE;
}

int nfkit_capture_start(struct nfkit_file *file, struct net *net,
			void __user *argument)
{
	struct nfkit_key key = { .kind = NFKIT_NAMED };
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_capture capture;
	struct nfkit_target *target;
	struct nfkit_reader *reader;
	char *data;
	u32 size;
	int err;

	err = nfkit_struct_read(&capture, sizeof(capture), sizeof(capture),
				argument, &size);
	if (err)
		return err;
	if (!nfkit_capture_valid(&capture))
		return -EINVAL;
	size = PAGE_ALIGN(capture.buffer ?: NFKIT_DEFAULT_BUFFER);
	mutex_lock(&nn->lock);
	err = nfkit_capture_prepare(file, nn, size);
	mutex_unlock(&nn->lock);
	if (err)
		return err;

	reader = file->reader;
	strscpy(key.name, capture.target, sizeof(key.name));
	err = -ENOMEM;
	data = nfkit_ring_alloc(size);
	if (!data)
		goto withdraw;
	target = nfkit_target_get_for(net, &key, NFKIT_USER_CAPTURE);
	if (IS_ERR(target)) {
		err = PTR_ERR(target);
		goto free;
	}
	mutex_lock(&nn->lock);
	nfkit_ring_start(&reader->packets, data, size);
	reader->snaplen = capture.snaplen ?: NFKIT_MAX_SNAPLEN;
	reader->target = target;
	nfkit_reader_join(reader, file, nn);
	list_add_tail_rcu(&reader->captures, &target->readers);
	mutex_unlock(&nn->lock);
	return 0;

free:
	vfree(data);
withdraw:
	nfkit_capture_withdraw(reader, nn, size);
	return err;
}

int nfkit_capture_stats(struct nfkit_file *file, struct net *net,
			void __user *argument)
{
	struct nfkit_capture_stats stats;
	struct nfkit_reader *reader;
	struct nfkit_ring *ring;
	u32 size;
	int err;

	err = nfkit_struct_read(&stats, sizeof(stats), sizeof(stats), argument,
				&size);
	if (err)
		return err;
	if (memchr_inv((char *)&stats + sizeof(stats.size), 0,
		       sizeof(stats) - sizeof(stats.size)))
		return -EINVAL;
	reader = nfkit_reader_of(file);
	if (!reader || !nfkit_ring_size(&reader->packets))
		return -ENOENT;
	ring = &reader->packets;
	spin_lock_bh(&ring->lock);
	stats.captured = ring->records;
	stats.lost = ring->lost_in_all;
	stats.used = nfkit_ring_used(ring);
	spin_unlock_bh(&ring->lock);
	stats.buffer = ring->size;
	return nfkit_struct_write(argument, &stats, sizeof(stats), size);
}
