// SPDX-License-Identifier: GPL-2.0
/* read(2) and poll(2) of /dev/nfkit, and who is told when there is something. */
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "reader.h"
#include "target.h"

/*
 * A reader that has been told of records is told again after this time, or
 * when a quarter of its buffer is full: not of each packet of a stream, and at
 * once of one that comes alone.
 */
#define NFKIT_READER_PAUSE_NS	(10 * NSEC_PER_MSEC)

/* Held where readers and namespaces part, so that either may go first. */
static DEFINE_MUTEX(nfkit_reader_parting);

static void nfkit_reader_tell(struct nfkit_reader *reader)
{
	if (xchg(&reader->wanted, NFKIT_WANTED_NOT) == NFKIT_WANTED_NOT)
		return;
	WRITE_ONCE(reader->woken, ktime_get());
	wake_up_interruptible_poll(reader->wait, EPOLLIN | EPOLLRDNORM);
}

/* How much is left of the pause. */
static ktime_t nfkit_reader_pause(const struct nfkit_reader *reader)
{
	ktime_t pause = ktime_sub(ktime_add_ns(READ_ONCE(reader->woken),
					       NFKIT_READER_PAUSE_NS),
				  ktime_get());

	return min_t(ktime_t, pause, NFKIT_READER_PAUSE_NS);
}

static bool nfkit_reader_filling(const struct nfkit_reader *reader)
{
	return nfkit_ring_used(&reader->packets) > reader->packets.size / 4;
}

static enum hrtimer_restart nfkit_reader_timer(struct hrtimer *timer)
{
	nfkit_reader_tell(container_of(timer, struct nfkit_reader, timer));
	return HRTIMER_NORESTART;
}

/* There is something new to read, or word of a loss. With softirqs disabled. */
void nfkit_reader_filled(struct nfkit_reader *reader, bool at_once)
{
	ktime_t pause;
	int wanted;

	/* Pairs with the one in nfkit_reader_want(). */
	smp_mb();
	wanted = READ_ONCE(reader->wanted);
	if (wanted == NFKIT_WANTED_NOT)
		return;
	if (at_once || nfkit_reader_filling(reader)) {
		nfkit_reader_tell(reader);
		return;
	}
	if (wanted == NFKIT_WANTED_SOON ||
	    cmpxchg(&reader->wanted, NFKIT_WANTED, NFKIT_WANTED_SOON) !=
	    NFKIT_WANTED)
		return;
	pause = nfkit_reader_pause(reader);
	if (pause <= 0)
		nfkit_reader_tell(reader);
	else
		hrtimer_start(&reader->timer, pause, HRTIMER_MODE_REL_SOFT);
}

static bool nfkit_reader_readable(const struct nfkit_reader *reader)
{
	return nfkit_ring_readable(&reader->events) ||
	       nfkit_ring_readable(&reader->packets);
}

/*
 * Whether there is something that was told of; if not, whoever waits will be
 * told. What comes during a pause is not told of before its end, though a read
 * gets it: else one that polls would read packet by packet.
 */
static bool nfkit_reader_want(struct nfkit_reader *reader)
{
	if (READ_ONCE(reader->wanted) == NFKIT_WANTED_SOON)
		return false;
	if (nfkit_reader_readable(reader))
		return true;
	WRITE_ONCE(reader->wanted, NFKIT_WANTED);
	/* Pairs with those in nfkit_reader_filled() and nfkit_reader_was_read(). */
	smp_mb();
	return nfkit_reader_readable(reader);
}

/*
 * After a read that gave something. Who learns so that there is nothing more is
 * told when there is; what came while it read, and is not much, is told of at the
 * end of the pause like what comes after it.
 */
static void nfkit_reader_was_read(struct nfkit_reader *reader, bool had_room)
{
	ktime_t pause;

	/*
	 * Pairs with the one in nfkit_reader_want(): one that polled meanwhile may
	 * have looked at records that this read took, and wait though there are
	 * others. If it saw the tail before it moved, this sees that it waits.
	 */
	smp_mb();
	if (!nfkit_reader_want(reader))
		return;
	if (READ_ONCE(reader->wanted) == NFKIT_WANTED) {
		nfkit_reader_tell(reader);
		return;
	}
	if (!had_room || nfkit_ring_readable(&reader->events) ||
	    nfkit_reader_filling(reader))
		return;
	pause = nfkit_reader_pause(reader);
	if (pause > 0 &&
	    cmpxchg(&reader->wanted, NFKIT_WANTED_NOT, NFKIT_WANTED_SOON) ==
	    NFKIT_WANTED_NOT)
		hrtimer_start(&reader->timer, pause, HRTIMER_MODE_REL_SOFT);
}

static bool nfkit_reader_gone(const struct nfkit_reader *reader)
{
	return READ_ONCE(reader->gone);
}

static bool nfkit_reader_used(const struct nfkit_reader *reader)
{
	return nfkit_ring_size(&reader->packets) ||
	       nfkit_ring_size(&reader->events);
}

/* Events first: there are few. 0: there is nothing. */
static ssize_t nfkit_reader_take(struct nfkit_reader *reader, char __user *to,
				 size_t size)
{
	ssize_t events, packets, result;

	if (mutex_lock_interruptible(&reader->reading))
		return -ERESTARTSYS;
	packets = 0;
	events = nfkit_ring_read(&reader->events, to, size);
	if (events >= 0 && size - events >= sizeof(struct nfkit_record))
		packets = nfkit_ring_read(&reader->packets, to + events,
					  size - events);
	mutex_unlock(&reader->reading);
	if (events < 0)
		return events;
	result = packets > 0 ? events + packets : events ?: packets;
	if (result > 0)
		nfkit_reader_was_read(reader, result <= size / 2);
	return result;
}

ssize_t nfkit_reader_read(struct file *filp, char __user *to, size_t size,
			  loff_t *at)
{
	struct nfkit_file *file = filp->private_data;
	struct nfkit_reader *reader;
	struct net *net;
	ssize_t result;

	for (;;) {
		/* While it waits, the namespace or the capability may go. */
		net = nfkit_enter(filp);
		if (IS_ERR(net))
			return PTR_ERR(net);
		nfkit_leave(filp, net);
		reader = nfkit_reader_of(file);
		if (!reader || !nfkit_reader_used(reader))
			return -EINVAL;
		if (size < sizeof(struct nfkit_record))
			return -EMSGSIZE;
		result = nfkit_reader_take(reader, to, size);
		if (result)
			return result;
		if (filp->f_flags & O_NONBLOCK)
			return -EAGAIN;
		result = wait_event_interruptible(*reader->wait,
						  nfkit_reader_want(reader) ||
						  nfkit_reader_gone(reader));
		if (result)
			return result;
	}
}

__poll_t nfkit_reader_poll(struct file *filp, poll_table *wait)
{
	struct nfkit_file *file = filp->private_data;
	struct nfkit_reader *reader;

	poll_wait(filp, &file->wait, wait);
	if (nfkit_file_gone(file))
		return EPOLLERR | EPOLLHUP;
	reader = nfkit_reader_of(file);
	return reader && nfkit_reader_want(reader) ? EPOLLIN | EPOLLRDNORM : 0;
}

static struct nfkit_reader *nfkit_reader_alloc(struct nfkit_file *file)
{
	struct nfkit_reader *reader;

	reader = kzalloc(sizeof(*reader), GFP_KERNEL_ACCOUNT);
	if (!reader)
		return NULL;
	reader->wait = &file->wait;
	mutex_init(&reader->reading);
	nfkit_ring_init(&reader->packets, NFKIT_RECORD_PACKETS_LOST);
	nfkit_ring_init(&reader->events, NFKIT_RECORD_EVENTS_LOST);
	nfkit_hrtimer_setup(&reader->timer, nfkit_reader_timer, CLOCK_MONOTONIC,
			    HRTIMER_MODE_REL_SOFT);
	return reader;
}

/* The reader of a descriptor, with nn->lock held. NULL: no memory. */
struct nfkit_reader *nfkit_reader_get(struct nfkit_file *file)
{
	struct nfkit_reader *reader = file->reader;

	if (reader)
		return reader;
	reader = nfkit_reader_alloc(file);
	if (reader) {
		/* Who reads and polls takes no lock. */
		smp_store_release(&file->reader, reader);
	}
	return reader;
}

/* The reader has something to read from now on. With nn->lock held. */
void nfkit_reader_join(struct nfkit_reader *reader, struct nfkit_file *file,
		       struct nfkit_net *nn)
{
	file->used = true;
	if (!reader->nn) {
		reader->nn = nn;
		list_add_tail(&reader->node, &nn->readers);
	}
	/* Who polled before was not noted as one who waits. */
	nfkit_reader_want(reader);
}

/* Buffers of a namespace are bounded together. With nn->lock held. */
int nfkit_reader_take_memory(struct nfkit_net *nn, u32 size)
{
	if (size > NFKIT_MAX_BUFFERS - nn->buffers)
		return -ENOSPC;
	nn->buffers += size;
	return 0;
}

void nfkit_reader_give_memory(struct nfkit_net *nn, u32 size)
{
	nn->buffers -= size;
}

/* From now on nothing is written for it that was not begun. */
static void nfkit_reader_detach(struct nfkit_reader *reader,
				struct nfkit_net *nn)
{
	struct nfkit_target *target = NULL;

	mutex_lock(&nn->lock);
	list_del_init(&reader->node);
	if (reader->target) {
		list_del_rcu(&reader->captures);
		nn->capture_count--;
		target = reader->target;
	}
	nfkit_reader_give_memory(nn, reader->packets.size + reader->events.size);
	mutex_unlock(&nn->lock);
	if (target)
		nfkit_target_put_for(target, NFKIT_USER_CAPTURE);
}

/* The descriptor is closed: nobody reads or polls. */
void nfkit_reader_release(struct nfkit_file *file)
{
	struct nfkit_reader *reader = file->reader;

	if (!reader)
		return;
	mutex_lock(&nfkit_reader_parting);
	if (reader->nn)
		nfkit_reader_detach(reader, reader->nn);
	mutex_unlock(&nfkit_reader_parting);
	/* Packets that were met before are still being written. */
	synchronize_rcu_expedited();
	hrtimer_cancel(&reader->timer);
	vfree(reader->packets.data);
	vfree(reader->events.data);
	kfree(reader);
}

/* The namespace goes; what was not read is not given any more. */
void nfkit_readers_exit_net(struct nfkit_net *nn)
{
	struct nfkit_reader *reader, *next;

	mutex_lock(&nfkit_reader_parting);
	list_for_each_entry_safe(reader, next, &nn->readers, node) {
		nfkit_reader_detach(reader, nn);
		reader->nn = NULL;
		WRITE_ONCE(reader->gone, true);
		wake_up_interruptible_all(reader->wait);
	}
	mutex_unlock(&nfkit_reader_parting);
}
