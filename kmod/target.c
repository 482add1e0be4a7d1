// SPDX-License-Identifier: GPL-2.0
/* Clone targets: made by whoever names one first, gone with the last. */
#include <linux/hash.h>
#include <linux/jhash.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "target.h"

static struct hlist_head *nfkit_mark_bucket(struct nfkit_net *nn, u32 mark)
{
	return &nn->targets[hash_32(mark, ilog2(ARRAY_SIZE(nn->targets)))];
}

static struct hlist_head *nfkit_bucket(struct nfkit_net *nn,
				       const struct nfkit_key *key)
{
	if (key->kind == NFKIT_MARK)
		return nfkit_mark_bucket(nn, key->mark);
	return nfkit_mark_bucket(nn, jhash(key->name, strlen(key->name), 0));
}

static bool nfkit_same_key(const struct nfkit_key *a, const struct nfkit_key *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == NFKIT_MARK ? a->mark == b->mark :
				       !strcmp(a->name, b->name);
}

/* Under RCU, or nn->lock held. */
struct nfkit_target *nfkit_target_of_mark(struct nfkit_net *nn, u32 mark)
{
	struct nfkit_target *target;

	hlist_for_each_entry_rcu(target, nfkit_mark_bucket(nn, mark), node,
				 lockdep_is_held(&nn->lock)) {
		if (target->key.kind == NFKIT_MARK && target->key.mark == mark)
			return target;
	}
	return NULL;
}

/* With nn->lock held. */
static struct nfkit_target *nfkit_target_find(struct nfkit_net *nn,
					      const struct nfkit_key *key)
{
	struct nfkit_target *target;

	hlist_for_each_entry(target, nfkit_bucket(nn, key), node) {
		if (nfkit_same_key(&target->key, key))
			return target;
	}
	return NULL;
}

/* The target that a program has defined, or NULL. With nn->lock held. */
struct nfkit_target *nfkit_target_defined(struct nfkit_net *nn, const char *name)
{
	struct nfkit_key key = { .kind = NFKIT_NAMED };
	struct nfkit_target *target;

	strscpy(key.name, name, sizeof(key.name));
	target = nfkit_target_find(nn, &key);
	return target && nfkit_target_sinks(target) ? target : NULL;
}

static void nfkit_target_free(struct nfkit_target *target)
{
	nfkit_sinks_free(rcu_dereference_protected(target->sinks, true));
	free_percpu(target->counters);
	free_percpu(target->waiting);
	kfree(target);
}

static void nfkit_target_free_rcu(struct rcu_head *rcu)
{
	nfkit_target_free(container_of(rcu, struct nfkit_target, rcu));
}

static struct nfkit_target *nfkit_target_alloc(struct nfkit_net *nn,
					       const struct nfkit_key *key)
{
	struct nfkit_target *target;
	int cpu;

	target = kzalloc(sizeof(*target), GFP_KERNEL_ACCOUNT);
	if (!target)
		return NULL;
	target->counters = nfkit_counters_alloc();
	target->waiting = alloc_percpu_gfp(struct list_head, GFP_KERNEL_ACCOUNT);
	if (!target->counters || !target->waiting) {
		nfkit_target_free(target);
		return NULL;
	}
	for_each_possible_cpu(cpu)
		INIT_LIST_HEAD(per_cpu_ptr(target->waiting, cpu));
	INIT_LIST_HEAD(&target->readers);
	target->nn = nn;
	target->key = *key;
	return target;
}

/* Those of a mark or a device are what they are; programs define the others. */
static struct nfkit_target *nfkit_target_make(struct net *net,
					      const struct nfkit_key *key)
{
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_target *target;
	struct nfkit_sinks *sinks;

	target = nfkit_target_alloc(nn, key);
	if (!target)
		return NULL;
	if (key->kind != NFKIT_NAMED) {
		sinks = nfkit_sinks_alloc(key->kind == NFKIT_DEVICE);
		if (!sinks) {
			nfkit_target_free(target);
			return NULL;
		}
		if (key->kind == NFKIT_MARK) {
			sinks->flags = NFKIT_TARGET_REROUTE;
			sinks->mark = key->mark;
		} else {
			strscpy(sinks->outputs[0].config.device, key->device,
				sizeof(sinks->outputs[0].config.device));
		}
		nfkit_sinks_attach(net, target, sinks);
	}
	hlist_add_head_rcu(&target->node, nfkit_bucket(nn, key));
	return target;
}

/*
 * The target, for one more who names it. -ENOMEM, or -EINVAL: there are no
 * routes where a hook is, and the target has the sink reroute.
 */
struct nfkit_target *nfkit_target_get_for(struct net *net,
					  const struct nfkit_key *key,
					  enum nfkit_user user)
{
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_sinks *sinks;
	struct nfkit_target *target;

	mutex_lock(&nn->lock);
	target = nfkit_target_find(nn, key);
	if (!target)
		target = nfkit_target_make(net, key);
	if (!target) {
		target = ERR_PTR(-ENOMEM);
		goto unlock;
	}
	sinks = nfkit_target_sinks(target);
	if (user == NFKIT_USER_HOOK_NO_ROUTE && sinks &&
	    sinks->flags & NFKIT_TARGET_REROUTE)
		target = ERR_PTR(-EINVAL);
	else
		target->users[user]++;
unlock:
	mutex_unlock(&nn->lock);
	return target;
}

/* One user less, who has waited for the packets that it handed over. */
void nfkit_target_put_for(struct nfkit_target *target, enum nfkit_user user)
{
	struct nfkit_net *nn = target->nn;
	bool last;

	mutex_lock(&nn->lock);
	target->users[user]--;
	last = !memchr_inv(target->users, 0, sizeof(target->users));
	if (last) {
		hlist_del_rcu(&target->node);
		if (nfkit_target_sinks(target))
			nfkit_sinks_detach(nfkit_target_sinks(target));
	}
	mutex_unlock(&nn->lock);
	if (!last)
		return;
	nfkit_queue_flush_target(target);
	call_rcu(&target->rcu, nfkit_target_free_rcu);
}
