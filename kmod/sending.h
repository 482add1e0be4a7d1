/* SPDX-License-Identifier: GPL-2.0 */
/* Whether this CPU is sending a copy now: what it meets then comes from that. */
#ifndef NFKIT_SENDING_H
#define NFKIT_SENDING_H

#include <linux/percpu.h>

#include "compat.h"

/* How many it is in; queue.c */
DECLARE_PER_CPU(unsigned int, nfkit_sending);

static inline bool nfkit_is_sending(void)
{
	return this_cpu_read(nfkit_sending) > 0;
}

/*
 * Around the sending of a copy where its original is, unless somebody does that
 * already.
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

#endif /* NFKIT_SENDING_H */
