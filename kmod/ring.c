// SPDX-License-Identifier: GPL-2.0
/*
 * A bounded buffer of records.
 *
 * Several CPUs write at once: each takes the place for its record under the
 * lock, fills it without, and then says that it is whole. The reader stops
 * before the first that is not.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/skbuff.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "ring.h"

/* Records begin at multiples of this, and the buffer never runs quite full. */
#define NFKIT_RING_ALIGN	8U
/* In the length of a record that is not whole yet. */
#define NFKIT_RING_BUSY		BIT(31)

void nfkit_ring_init(struct nfkit_ring *ring, u16 lost_type)
{
	spin_lock_init(&ring->lock);
	ring->lost_type = lost_type;
}

/* A buffer of a multiple of the size of a page, for vfree(). NULL: no memory. */
char *nfkit_ring_alloc(u32 size)
{
	return __vmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
}

/* The ring has a buffer from now on. */
void nfkit_ring_start(struct nfkit_ring *ring, char *data, u32 size)
{
	ring->data = data;
	/* Who sees a size sees the buffer. */
	smp_store_release(&ring->size, size);
}

static u32 nfkit_ring_distance(const struct nfkit_ring *ring, u32 from, u32 to)
{
	return to >= from ? to - from : to + ring->size - from;
}

static u32 nfkit_ring_place(const struct nfkit_ring *ring, u32 at, u32 offset)
{
	at += offset;
	return at >= ring->size ? at - ring->size : at;
}

/* The length of a record, which tells when it is whole. It is aligned. */
static u32 *nfkit_ring_length(const struct nfkit_ring *ring, u32 at)
{
	return (u32 *)(ring->data + at);
}

/*
 * Takes a place for a record of record->length bytes and fills in when it came
 * and what was lost before. False: there is no room, which is counted. What has a
 * place has to be written, from where it begins (@at) on, and committed.
 */
bool nfkit_ring_reserve(struct nfkit_ring *ring, struct nfkit_record *record,
			u32 *at)
{
	u32 need = ALIGN(record->length, NFKIT_RING_ALIGN);
	u32 head, used;
	bool room;

	spin_lock_bh(&ring->lock);
	head = ring->head;
	/* What was there is read. */
	used = nfkit_ring_distance(ring, smp_load_acquire(&ring->tail), head);
	room = need < ring->size - used;
	if (!room) {
		ring->lost++;
		ring->lost_in_all++;
		goto unlock;
	}
	record->timestamp = ktime_get_real_ns();
	record->lost = ring->lost;
	ring->lost = 0;
	ring->records++;
	*at = head;
	head = nfkit_ring_place(ring, head, need);
	/* What aligns the next record is given to the reader, too. */
	memset(ring->data + nfkit_ring_place(ring, *at, need - NFKIT_RING_ALIGN),
	       0, NFKIT_RING_ALIGN);
	WRITE_ONCE(*nfkit_ring_length(ring, *at), NFKIT_RING_BUSY);
	/* The reader sees that it is not whole. */
	smp_store_release(&ring->head, head);
unlock:
	spin_unlock_bh(&ring->lock);
	return room;
}

/* Writes into a record, behind its length. */
void nfkit_ring_write(struct nfkit_ring *ring, u32 at, u32 offset,
		      const void *from, u32 length)
{
	u32 to = nfkit_ring_place(ring, at, offset);
	u32 first = min(length, ring->size - to);

	memcpy(ring->data + to, from, first);
	memcpy(ring->data, from + first, length - first);
}

/* The same from a packet: @length bytes, which it has, from @from on. */
void nfkit_ring_write_skb(struct nfkit_ring *ring, u32 at, u32 offset,
			  const struct sk_buff *skb, int from, u32 length)
{
	u32 to = nfkit_ring_place(ring, at, offset);
	u32 first = min(length, ring->size - to);

	if (first)
		WARN_ON_ONCE(skb_copy_bits(skb, from, ring->data + to, first));
	if (length > first)
		WARN_ON_ONCE(skb_copy_bits(skb, from + first, ring->data,
					   length - first));
}

/* The record is whole. */
void nfkit_ring_commit(struct nfkit_ring *ring, u32 at, u32 length)
{
	/* Pairs with those that look at the length. */
	smp_store_release(nfkit_ring_length(ring, at), length);
}

/* How many bytes records have, also those that are not whole yet. */
u32 nfkit_ring_used(const struct nfkit_ring *ring)
{
	return nfkit_ring_distance(ring, READ_ONCE(ring->tail),
				   READ_ONCE(ring->head));
}

/*
 * Whether a read would give something. A read meanwhile can make it answer either,
 * see nfkit_reader_was_read().
 */
bool nfkit_ring_readable(const struct nfkit_ring *ring)
{
	u32 tail = READ_ONCE(ring->tail);

	if (!nfkit_ring_size(ring))
		return false;
	/* What is before it has a length. */
	if (tail == smp_load_acquire(&ring->head))
		return READ_ONCE(ring->lost);
	return !(READ_ONCE(*nfkit_ring_length(ring, tail)) & NFKIT_RING_BUSY);
}

/*
 * The whole records from the first on that fit: how long they are in the buffer.
 * -EMSGSIZE: the first is whole, but does not fit.
 */
static int nfkit_ring_batch(const struct nfkit_ring *ring, size_t size,
			    size_t *bytes)
{
	u32 at = ring->tail;
	u32 head, length, batch = 0;

	/* What is before it has a length. */
	head = smp_load_acquire(&ring->head);
	while (at != head) {
		/* The rest of the record is there if it is whole. */
		length = smp_load_acquire(nfkit_ring_length(ring, at));
		if (length & NFKIT_RING_BUSY)
			break;
		if (length > size - batch) {
			if (!batch)
				return -EMSGSIZE;
			break;
		}
		length = ALIGN(length, NFKIT_RING_ALIGN);
		batch += length;
		at = nfkit_ring_place(ring, at, length);
		if (batch >= size)
			break;
	}
	*bytes = min_t(size_t, batch, size);
	return batch;
}

/* What was lost behind the last record, once that is read. 0: nothing. */
static u64 nfkit_ring_take_lost(struct nfkit_ring *ring)
{
	u64 lost = 0;

	spin_lock_bh(&ring->lock);
	if (ring->tail == ring->head) {
		lost = ring->lost;
		ring->lost = 0;
	}
	spin_unlock_bh(&ring->lock);
	return lost;
}

static void nfkit_ring_put_lost(struct nfkit_ring *ring, u64 lost)
{
	spin_lock_bh(&ring->lock);
	ring->lost += lost;
	spin_unlock_bh(&ring->lock);
}

static ssize_t nfkit_ring_read_lost(struct nfkit_ring *ring, char __user *to,
				    size_t size)
{
	struct nfkit_record record = {
		.length = sizeof(record),
		.type = ring->lost_type,
		.header = sizeof(record),
	};

	if (size < sizeof(record))
		return 0;
	record.lost = nfkit_ring_take_lost(ring);
	if (!record.lost)
		return 0;
	record.timestamp = ktime_get_real_ns();
	if (!copy_to_user(to, &record, sizeof(record)))
		return sizeof(record);
	nfkit_ring_put_lost(ring, record.lost);
	return -EFAULT;
}

/*
 * Gives as many whole records as fit. 0: there is none; -EMSGSIZE: the first
 * does not fit. One at a time.
 */
ssize_t nfkit_ring_read(struct nfkit_ring *ring, char __user *to, size_t size)
{
	size_t bytes, first;
	ssize_t more;
	int batch;

	if (!nfkit_ring_size(ring))
		return 0;
	batch = nfkit_ring_batch(ring, size, &bytes);
	if (batch < 0)
		return batch;
	first = min_t(size_t, bytes, ring->size - ring->tail);
	if (copy_to_user(to, ring->data + ring->tail, first) ||
	    copy_to_user(to + first, ring->data, bytes - first))
		return -EFAULT;
	/* Done with it: it can be written again. */
	smp_store_release(&ring->tail,
			  nfkit_ring_place(ring, ring->tail, batch));
	more = nfkit_ring_read_lost(ring, to + bytes, size - bytes);
	/* The records are read in any case. */
	return more > 0 ? bytes + more : bytes ?: more;
}
