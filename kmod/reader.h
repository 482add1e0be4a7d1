/* SPDX-License-Identifier: GPL-2.0 */
/* What a descriptor reads: packets of a clone target, events, or both. */
#ifndef NFKIT_READER_H
#define NFKIT_READER_H

#include <linux/hrtimer.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/wait.h>

#include "nfkit.h"
#include "ring.h"

struct nfkit_target;

enum nfkit_wanted {
	/* Nobody has seen the reader empty since it was last told of records. */
	NFKIT_WANTED_NOT,
	NFKIT_WANTED,
	/* The same, and the timer will tell of what there is. */
	NFKIT_WANTED_SOON,
};

/**
 * struct nfkit_reader - what a descriptor reads; it lives as long as that
 * @node: in nfkit_net.readers, under nfkit_net.lock
 * @captures: in nfkit_target.readers, under RCU; changed under nfkit_net.lock
 * @nn: its namespace; NULL: it reads nothing yet, or that is gone
 * @gone: it is gone
 * @target: whose packets it reads; NULL: none
 * @capturing: @target is set, or is about to be; under nfkit_net.lock
 * @snaplen: bytes of a packet that it keeps at most
 * @packets: records of packets
 * @events: records of events
 * @reading: see there
 * @wait: the descriptor's
 * @wanted: enum nfkit_wanted
 * @woken: when it was last told of records
 * @timer: tells of them a little later
 */
struct nfkit_reader {
	struct list_head node;
	struct list_head captures;
	struct nfkit_net *nn;
	bool gone;
	struct nfkit_target *target;
	bool capturing;
	u32 snaplen;
	struct nfkit_ring packets;
	struct nfkit_ring events;
	/* held by who takes records out */
	struct mutex reading;
	wait_queue_head_t *wait;
	int wanted;
	ktime_t woken;
	struct hrtimer timer;
};

/* Without a lock. NULL: the descriptor reads nothing. */
static inline struct nfkit_reader *
nfkit_reader_of(const struct nfkit_file *file)
{
	/* Pairs with nfkit_reader_get(). */
	return smp_load_acquire(&file->reader);
}

/* reader.c */
struct nfkit_reader *nfkit_reader_get(struct nfkit_file *file);
void nfkit_reader_join(struct nfkit_reader *reader, struct nfkit_file *file,
		       struct nfkit_net *nn);
int nfkit_reader_take_memory(struct nfkit_net *nn, u32 size);
void nfkit_reader_give_memory(struct nfkit_net *nn, u32 size);
void nfkit_reader_filled(struct nfkit_reader *reader, bool at_once);

#endif /* NFKIT_READER_H */
