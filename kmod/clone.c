// SPDX-License-Identifier: GPL-2.0
/* A packet meets a clone target: whether its sinks get a copy. */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>

#include "clone.h"

/* Whether it is this packet's turn: the first of every so many, or by chance. */
static bool nfkit_is_sampled(struct nfkit_sinks *sinks)
{
	u32 rest;

	if (sinks->sample <= 1)
		return true;
	if (sinks->flags & NFKIT_TARGET_RANDOM)
		return !((u64)get_random_u32() * sinks->sample >> 32);
	div_u64_rem(atomic64_inc_return(&sinks->met) - 1, sinks->sample, &rest);
	return rest == 0;
}

/*
 * Whether the rate allows one more. A nanosecond is worth @rate billionths of a
 * packet, which fit with those of a whole burst.
 */
static bool nfkit_is_within_rate(struct nfkit_sinks *sinks)
{
	u64 full = (u64)sinks->burst * NSEC_PER_SEC;
	struct nfkit_bucket *bucket = &sinks->bucket;
	u64 now, passed;
	bool within;

	if (!sinks->rate)
		return true;
	spin_lock(&bucket->lock);
	now = ktime_get_ns();
	passed = now - bucket->at;
	if (passed > div_u64(full - bucket->credit, sinks->rate))
		bucket->credit = full;
	else
		bucket->credit += passed * sinks->rate;
	bucket->at = now;
	within = bucket->credit >= NSEC_PER_SEC;
	if (within)
		bucket->credit -= NSEC_PER_SEC;
	spin_unlock(&bucket->lock);
	return within;
}

static bool nfkit_capture(struct nfkit_target *target, struct sk_buff *skb,
			  const struct nf_hook_state *state, u8 point,
			  u32 snaplen)
{
	enum nfkit_counter result;
	unsigned int bytes = 0;

	result = nfkit_capture_packet(target, skb, state, point, snaplen, &bytes);
	nfkit_count(target, result);
	if (result != NFKIT_CLONED)
		return false;
	nfkit_count(target, NFKIT_SENT);
	nfkit_count_in(target->counters, NFKIT_BYTES, bytes);
	return true;
}

/* A copy for each sink; whether one was taken. */
static bool nfkit_sinks_copy(struct nfkit_target *target,
			     struct nfkit_sinks *sinks,
			     struct nfkit_counters *counters,
			     struct sk_buff *skb,
			     const struct nf_hook_state *state, u8 point)
{
	bool taken = false;

	nfkit_options_sum(skb, state);
	if (sinks->count)
		taken = nfkit_layer2(sinks, counters, skb, state);
	if (sinks->flags & NFKIT_TARGET_REROUTE)
		taken |= nfkit_reroute(&sinks->reroute, skb, state);
	if (sinks->flags & NFKIT_TARGET_CAPTURE)
		taken |= nfkit_capture(target, skb, state, point, sinks->snaplen);
	return taken;
}

void nfkit_clone_to(struct nfkit_target *target, struct nfkit_sinks *sinks,
		    struct nfkit_counters *counters, struct sk_buff *skb,
		    const struct nf_hook_state *state, u8 point)
{
	if (!sinks)
		nfkit_count_here(counters, NFKIT_NO_TARGET, 1);
	else if (!nfkit_is_sampled(sinks))
		nfkit_count_here(counters, NFKIT_SAMPLED_OUT, 1);
	else if (!nfkit_is_within_rate(sinks))
		nfkit_count_here(counters, NFKIT_LIMITED, 1);
	else
		nfkit_sinks_copy(target, sinks, counters, skb, state, point);
}

/*
 * The same without sampling and limits. Whether a sink took a copy: then there
 * is no need of the packet any more.
 */
bool nfkit_redirect(struct nfkit_target *target, struct sk_buff *skb,
		    const struct nf_hook_state *state, u8 point)
{
	struct nfkit_counters *counters = this_cpu_ptr(target->counters);
	struct nfkit_sinks *sinks = rcu_dereference(target->sinks);

	nfkit_count_here(counters, NFKIT_SEEN, 1);
	if (sinks)
		return nfkit_sinks_copy(target, sinks, counters, skb, state,
					point);
	nfkit_count_here(counters, NFKIT_NO_TARGET, 1);
	return false;
}
