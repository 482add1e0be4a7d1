/* SPDX-License-Identifier: GPL-2.0 */
/* Sending copies: whether this CPU does, and whether a device can. */
#ifndef NFKIT_SENDING_H
#define NFKIT_SENDING_H

#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <net/sch_generic.h>

#include "compat.h"

/* How many it is in. */
DECLARE_PER_CPU(unsigned int, nfkit_sending);

/*
 * What it meets then comes from that. With PREEMPT_RT another task of this CPU
 * may be the one that sends; newer kernels know for each task if it duplicates.
 */
static inline bool nfkit_is_sending(void)
{
	return nfkit_is_duplicating() && this_cpu_read(nfkit_sending) > 0;
}

/*
 * Around the sending of copies, unless somebody does that already: whoever sends
 * is duplicating, too.
 */
static inline void nfkit_send_begin(void)
{
	this_cpu_inc(nfkit_sending);
	nfkit_set_duplicating(true);
}

static inline void nfkit_send_end(void)
{
	nfkit_set_duplicating(false);
	this_cpu_dec(nfkit_sending);
}

/*
 * Whether a device can send, before it is asked to: it is up, has carrier, and
 * has its queues already. Those get them in their order, so the last one tells
 * of all.
 */
static __always_inline bool nfkit_is_active(const struct net_device *dev)
{
	unsigned long state = READ_ONCE(dev->state);

	return (state & (BIT(__LINK_STATE_START) | BIT(__LINK_STATE_NOCARRIER))) ==
		       BIT(__LINK_STATE_START) &&
	       rcu_access_pointer(netdev_get_tx_queue(dev, dev->num_tx_queues - 1)
				  ->qdisc) != &noop_qdisc;
}

/*
 * What NET_XMIT_CN means of a device that was active before, in the same RCU
 * section. True: it went down meanwhile, or the one below it, and the frame was
 * dropped; the queues cannot come back as long as that section lasts. False:
 * its queue took the frame and dropped another.
 */
bool nfkit_went_down(struct net_device *dev);

#endif /* NFKIT_SENDING_H */
