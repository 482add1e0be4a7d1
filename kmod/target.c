// SPDX-License-Identifier: GPL-2.0
/*
 * Clone targets: made by the first rule or program that names one, gone with
 * the last.
 */
#include <linux/hash.h>
#include <linux/jhash.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "nfkit.h"

static struct hlist_head *nfkit_bucket(struct nfkit_net *nn, u32 hash)
{
	return &nn->targets[hash_32(hash, ilog2(ARRAY_SIZE(nn->targets)))];
}

static struct hlist_head *nfkit_bucket_of_name(struct nfkit_net *nn,
					       const char *name)
{
	return nfkit_bucket(nn, jhash(name, strlen(name), 0));
}

/* Under RCU, or nn->lock held. */
struct nfkit_target *nfkit_target_find(struct nfkit_net *nn, u32 mark)
{
	struct nfkit_target *target;

	hlist_for_each_entry_rcu(target, nfkit_bucket(nn, mark), node,
				 lockdep_is_held(&nn->lock)) {
		if (target->kind == XT_CLONE_MARK && target->mark == mark)
			return target;
	}
	return NULL;
}

static struct nfkit_target *nfkit_target_find_name(struct nfkit_net *nn,
						   u32 kind, const char *name)
{
	struct nfkit_target *target;

	hlist_for_each_entry(target, nfkit_bucket_of_name(nn, name), node) {
		if (target->kind == kind && !strcmp(target->name, name))
			return target;
	}
	return NULL;
}

/* The target that a program has defined. With nn->lock held. */
struct nfkit_target *nfkit_target_named(struct nfkit_net *nn, const char *name)
{
	struct nfkit_target *target;

	target = nfkit_target_find_name(nn, XT_CLONE_TARGET, name);
	return target && target->defined ? target : NULL;
}

static struct nfkit_target *nfkit_target_alloc(struct nfkit_net *nn, u32 kind,
					       u32 mark, const char *name)
{
	struct nfkit_target *target;

	target = kzalloc(sizeof(*target), GFP_KERNEL_ACCOUNT);
	if (!target)
		return NULL;
	target->counters = nfkit_counters_alloc();
	if (!target->counters) {
		kfree(target);
		return NULL;
	}
	target->nn = nn;
	target->kind = kind;
	target->mark = mark;
	strscpy(target->name, name, sizeof(target->name));
	return target;
}

static void nfkit_target_free(struct rcu_head *rcu)
{
	struct nfkit_target *target;

	target = container_of(rcu, struct nfkit_target, rcu);
	nfkit_sinks_free(rcu_dereference_protected(target->sinks, true));
	free_percpu(target->counters);
	kfree(target);
}

/* Unless somebody names it still. With nn->lock held; no packet is in it. */
static void nfkit_target_drop(struct nfkit_target *target)
{
	if (target->rules || target->defined)
		return;
	hlist_del_rcu(&target->node);
	nfkit_queue_flush_target(target);
	call_rcu(&target->rcu, nfkit_target_free);
}

/* Makes the target of a mark, of devices or of a name. With nn->lock held. */
static struct nfkit_target *nfkit_target_make(struct net *net, u32 kind,
					      u32 mark, const char *name)
{
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_target *target;
	struct nfkit_sinks *sinks;

	target = nfkit_target_alloc(nn, kind, mark, name);
	if (!target)
		return ERR_PTR(-ENOMEM);
	if (kind == XT_CLONE_DEVICES) {
		sinks = nfkit_sinks_parse(name);
		if (IS_ERR(sinks)) {
			nfkit_target_free(&target->rcu);
			return ERR_CAST(sinks);
		}
		nfkit_sinks_attach(net, target, sinks, NULL);
		rcu_assign_pointer(target->sinks, sinks);
	}
	hlist_add_head_rcu(&target->node,
			   kind == XT_CLONE_MARK ? nfkit_bucket(nn, mark) :
						   nfkit_bucket_of_name(nn, name));
	return target;
}

/* The target that one more rule names. -EINVAL: the devices are no list. */
struct nfkit_target *nfkit_target_get(struct net *net, u32 kind, u32 mark,
				      const char *name)
{
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_target *target;

	mutex_lock(&nn->lock);
	target = kind == XT_CLONE_MARK ? nfkit_target_find(nn, mark) :
					 nfkit_target_find_name(nn, kind, name);
	if (!target)
		target = nfkit_target_make(net, kind, mark, name);
	if (!IS_ERR(target))
		target->rules++;
	mutex_unlock(&nn->lock);
	return target;
}

/* One rule less. x_tables and nf_tables have waited for packets in it. */
void nfkit_target_put(struct nfkit_target *target)
{
	struct nfkit_net *nn = target->nn;

	mutex_lock(&nn->lock);
	target->rules--;
	nfkit_target_drop(target);
	mutex_unlock(&nn->lock);
}

/* What was the definition goes. With nn->lock held. */
static void nfkit_sinks_retire(struct nfkit_sinks *old)
{
	if (!old)
		return;
	/* Packets that met it have their copies in the queue after this. */
	synchronize_rcu_expedited();
	nfkit_queue_flush_sinks(old);
	nfkit_sinks_free(old);
}

/* Takes the sinks over if it succeeds. */
int nfkit_target_define(struct net *net, const struct nfkit_file *file,
			const char *name, u32 flags, struct nfkit_sinks *sinks)
{
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_target *target;
	struct nfkit_sinks *old;
	int err = 0;

	mutex_lock(&nn->lock);
	target = nfkit_target_find_name(nn, XT_CLONE_TARGET, name);
	if (target && target->defined) {
		if (flags & NFKIT_TARGET_CREATE)
			err = -EEXIST;
		else if (target->owner && target->owner != file)
			err = -EPERM;
	} else if (nn->defined >= NFKIT_MAX_TARGETS) {
		err = -ENOSPC;
	} else if (!target) {
		target = nfkit_target_make(net, XT_CLONE_TARGET, 0, name);
		if (IS_ERR(target))
			err = PTR_ERR(target);
	}
	if (err)
		goto unlock;

	if (!target->defined)
		nn->defined++;
	target->defined = true;
	target->owner = flags & NFKIT_TARGET_PERSISTENT ? NULL : file;
	old = rcu_dereference_protected(target->sinks,
					lockdep_is_held(&nn->lock));
	nfkit_sinks_attach(net, target, sinks, old);
	rcu_assign_pointer(target->sinks, sinks);
	nfkit_sinks_retire(old);
unlock:
	mutex_unlock(&nn->lock);
	return err;
}

static void nfkit_target_undefine(struct nfkit_target *target)
{
	struct nfkit_net *nn = target->nn;
	struct nfkit_sinks *old;

	old = rcu_dereference_protected(target->sinks,
					lockdep_is_held(&nn->lock));
	RCU_INIT_POINTER(target->sinks, NULL);
	target->defined = false;
	target->owner = NULL;
	nn->defined--;
	nfkit_sinks_retire(old);
	nfkit_target_drop(target);
}

int nfkit_target_delete(struct nfkit_net *nn, const struct nfkit_file *file,
			const char *name)
{
	struct nfkit_target *target;
	int err = 0;

	mutex_lock(&nn->lock);
	target = nfkit_target_named(nn, name);
	if (!target)
		err = -ENOENT;
	else if (target->owner && target->owner != file)
		err = -EPERM;
	else
		nfkit_target_undefine(target);
	mutex_unlock(&nn->lock);
	return err;
}

/* Those of a descriptor; without one, all that programs have defined. */
void nfkit_target_delete_all(struct nfkit_net *nn, const struct nfkit_file *file)
{
	struct nfkit_target *target;
	struct hlist_node *next;
	unsigned int bucket;

	mutex_lock(&nn->lock);
	for (bucket = 0; bucket < ARRAY_SIZE(nn->targets); bucket++) {
		hlist_for_each_entry_safe(target, next, &nn->targets[bucket],
					  node) {
			if (target->defined && (!file || target->owner == file))
				nfkit_target_undefine(target);
		}
	}
	mutex_unlock(&nn->lock);
}

/* Writes the names of those that programs have defined; how many there are. */
u32 nfkit_target_name_all(struct nfkit_net *nn, char *names, u32 room)
{
	struct nfkit_target *target;
	unsigned int bucket;
	u32 count = 0;

	mutex_lock(&nn->lock);
	for (bucket = 0; bucket < ARRAY_SIZE(nn->targets); bucket++) {
		hlist_for_each_entry(target, &nn->targets[bucket], node) {
			if (!target->defined)
				continue;
			if (count < room)
				strscpy(names + count * NFKIT_NAME_SIZE,
					target->name, NFKIT_NAME_SIZE);
			count++;
		}
	}
	mutex_unlock(&nn->lock);
	return count;
}
