/* SPDX-License-Identifier: GPL-2.0 */
/* A bounded buffer of records, see ring.c. */
#ifndef NFKIT_RING_H
#define NFKIT_RING_H

#include <linux/cache.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "uapi/nfkit_record.h"

struct sk_buff;

/**
 * struct nfkit_ring - records between those who write them and one who reads
 * @data: the buffer
 * @size: bytes of it, whole pages; 0: there is none
 * @lost_type: enum nfkit_record_type of a record about what was lost
 * @tail: where the first record is; moves under the lock of the reader
 * @lock: see there
 * @head: where the next record goes; the same place as @tail: there is none
 * @lost: records for which there was no room since the last one
 * @lost_in_all: those and the ones before
 * @records: how many were put in
 */
struct nfkit_ring {
	char *data;
	u32 size;
	u16 lost_type;
	u32 tail;
	/* @head, @lost, @lost_in_all and @records */
	spinlock_t lock ____cacheline_aligned_in_smp;
	u32 head;
	u64 lost;
	u64 lost_in_all;
	u64 records;
};

/* 0: it has no buffer. */
static inline u32 nfkit_ring_size(const struct nfkit_ring *ring)
{
	/* Pairs with nfkit_ring_start(). */
	return smp_load_acquire(&ring->size);
}

void nfkit_ring_init(struct nfkit_ring *ring, u16 lost_type);
char *nfkit_ring_alloc(u32 size);
void nfkit_ring_start(struct nfkit_ring *ring, char *data, u32 size);
bool nfkit_ring_reserve(struct nfkit_ring *ring, struct nfkit_record *record,
			u32 *at);
void nfkit_ring_write(struct nfkit_ring *ring, u32 at, u32 offset,
		      const void *from, u32 length);
void nfkit_ring_write_skb(struct nfkit_ring *ring, u32 at, u32 offset,
			  const struct sk_buff *skb, int from, u32 length);
void nfkit_ring_commit(struct nfkit_ring *ring, u32 at, u32 length);
u32 nfkit_ring_used(const struct nfkit_ring *ring);
bool nfkit_ring_readable(const struct nfkit_ring *ring);
ssize_t nfkit_ring_read(struct nfkit_ring *ring, char __user *to, size_t size);

#endif /* NFKIT_RING_H */
