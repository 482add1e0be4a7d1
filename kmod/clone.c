// SPDX-License-Identifier: GPL-2.0
/* A packet meets a clone target: which of its sinks get a copy. */
#include <linux/math64.h>
#include <linux/random.h>
#include <linux/skbuff.h>

#include "nfkit.h"

/* Whether it is this packet's turn: the first of every so many, or by chance. */
static bool nfkit_is_sampled(struct nfkit_target *target,
			     const struct nfkit_sinks *sinks)
{
	u64 number;
	u32 rest;

	if (sinks->sample <= 1)
		return true;
	if (sinks->random)
		return get_random_u32() <= U32_MAX / sinks->sample;
	number = atomic64_inc_return(&target->packets) - 1;
	div_u64_rem(number, sinks->sample, &rest);
	return rest == 0;
}

/* With softirqs disabled, at a hook of IPv4 or IPv6; the packet stays as it is. */
void nfkit_clone(struct nfkit_target *target, struct sk_buff *skb,
		 const struct nf_hook_state *state)
{
	struct nfkit_sinks *sinks;

	nfkit_count(target, NFKIT_SEEN);
	if (target->kind == XT_CLONE_MARK) {
		nfkit_reroute(target, target->mark, skb, state);
		return;
	}
	rcu_read_lock();
	sinks = rcu_dereference(target->sinks);
	if (!sinks) {
		nfkit_count(target, NFKIT_NO_TARGET);
	} else if (!nfkit_is_sampled(target, sinks)) {
		nfkit_count(target, NFKIT_SAMPLED_OUT);
	} else {
		if (sinks->count)
			nfkit_devices(sinks, skb, state);
		if (sinks->reroute)
			nfkit_reroute(target, sinks->mark, skb, state);
	}
	rcu_read_unlock();
}
