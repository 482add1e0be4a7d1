/* SPDX-License-Identifier: GPL-2.0 */
/* A packet meets a clone target. With softirqs disabled, under RCU. */
#ifndef NFKIT_CLONE_H
#define NFKIT_CLONE_H

#include <linux/rcupdate.h>

#include "options.h"
#include "target.h"

/* clone.c; @sinks are the target's, @counters those of this CPU */
void nfkit_clone_to(struct nfkit_target *target, struct nfkit_sinks *sinks,
		    struct nfkit_counters *counters, struct sk_buff *skb,
		    const struct nf_hook_state *state, u8 point);
bool nfkit_redirect(struct nfkit_target *target, struct sk_buff *skb,
		    const struct nf_hook_state *state, u8 point);

/* Its sinks get a copy, or not; the packet stays as it is. */
static __always_inline void nfkit_clone(struct nfkit_target *target,
					struct sk_buff *skb,
					const struct nf_hook_state *state,
					u8 point)
{
	struct nfkit_counters *counters = this_cpu_ptr(target->counters);
	struct nfkit_sinks *sinks = rcu_dereference(target->sinks);

	nfkit_count_here(counters, NFKIT_SEEN, 1);
	if (likely(sinks && sinks->plain && !nfkit_options_changed(skb, state)))
		nfkit_layer2_one(&sinks->outputs[0], counters, skb, state);
	else
		nfkit_clone_to(target, sinks, counters, skb, state, point);
}

#endif /* NFKIT_CLONE_H */
