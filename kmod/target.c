// SPDX-License-Identifier: GPL-2.0
/* Clone targets: made by the first rule that names one, gone with the last. */
#include <linux/hash.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "nfkit.h"

static struct hlist_head *nfkit_bucket(struct nfkit_net *nn, u32 mark)
{
	return &nn->targets[hash_32(mark, ilog2(ARRAY_SIZE(nn->targets)))];
}

/* Under RCU, or nn->lock held. */
struct nfkit_target *nfkit_target_find(struct nfkit_net *nn, u32 mark)
{
	struct nfkit_target *target;

	hlist_for_each_entry_rcu(target, nfkit_bucket(nn, mark), node,
				 lockdep_is_held(&nn->lock)) {
		if (target->mark == mark)
			return target;
	}
	return NULL;
}

static struct nfkit_target *nfkit_target_alloc(struct nfkit_net *nn, u32 mark)
{
	struct nfkit_target *target;
	int cpu;

	target = kzalloc(sizeof(*target), GFP_KERNEL_ACCOUNT);
	if (!target)
		return NULL;
	target->counters = alloc_percpu_gfp(struct nfkit_counters,
					    GFP_KERNEL_ACCOUNT);
	if (!target->counters) {
		kfree(target);
		return NULL;
	}
	for_each_possible_cpu(cpu)
		u64_stats_init(&per_cpu_ptr(target->counters, cpu)->syncp);
	target->nn = nn;
	target->mark = mark;
	return target;
}

static void nfkit_target_free(struct rcu_head *rcu)
{
	struct nfkit_target *target;

	target = container_of(rcu, struct nfkit_target, rcu);
	free_percpu(target->counters);
	kfree(target);
}

/* The target of a mark, for one more rule. NULL: no memory. */
struct nfkit_target *nfkit_target_get(struct nfkit_net *nn, u32 mark)
{
	struct nfkit_target *target;

	mutex_lock(&nn->lock);
	target = nfkit_target_find(nn, mark);
	if (!target) {
		target = nfkit_target_alloc(nn, mark);
		if (target)
			hlist_add_head_rcu(&target->node, nfkit_bucket(nn, mark));
	}
	if (target)
		target->users++;
	mutex_unlock(&nn->lock);
	return target;
}

/* One rule less. x_tables and nf_tables have waited for packets in it. */
void nfkit_target_put(struct nfkit_net *nn, u32 mark)
{
	struct nfkit_target *target;

	mutex_lock(&nn->lock);
	target = nfkit_target_find(nn, mark);
	if (target && --target->users == 0)
		hlist_del_rcu(&target->node);
	else
		target = NULL;
	mutex_unlock(&nn->lock);
	if (!target)
		return;
	nfkit_queue_flush_target(target);
	call_rcu(&target->rcu, nfkit_target_free);
}
