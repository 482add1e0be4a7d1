// SPDX-License-Identifier: GPL-2.0
/* Clone targets: made by the first rule that names one, gone with the last. */
#include <linux/hash.h>
#include <linux/if_arp.h>
#include <linux/jhash.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "nfkit.h"

static struct hlist_head *nfkit_mark_bucket(struct nfkit_net *nn, u32 mark)
{
	return &nn->targets[hash_32(mark, ilog2(ARRAY_SIZE(nn->targets)))];
}

static struct hlist_head *nfkit_bucket(struct nfkit_net *nn,
				       const struct nfkit_key *key)
{
	if (key->kind == NFKIT_MARK)
		return nfkit_mark_bucket(nn, key->mark);
	return nfkit_mark_bucket(nn, jhash(key->device, strlen(key->device), 0));
}

static bool nfkit_same_key(const struct nfkit_key *a, const struct nfkit_key *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == NFKIT_MARK ? a->mark == b->mark :
				       !strcmp(a->device, b->device);
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

static struct nfkit_target *nfkit_target_alloc(struct nfkit_net *nn,
					       const struct nfkit_key *key)
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
	target->key = *key;
	return target;
}

static void nfkit_target_free(struct rcu_head *rcu)
{
	struct nfkit_target *target;

	target = container_of(rcu, struct nfkit_target, rcu);
	free_percpu(target->counters);
	kfree(target);
}

/* With nn->lock held. The device, if there is one, was held for the target. */
static void nfkit_target_set_device(struct nfkit_target *target,
				    struct net_device *dev)
{
	struct net_device *old;

	old = rcu_replace_pointer(target->dev, dev,
				  lockdep_is_held(&target->nn->lock));
	/* Who has just read it is done before the device can be freed. */
	if (old)
		dev_put(old);
}

/* The target, for one more rule. NULL: no memory. */
struct nfkit_target *nfkit_target_get(struct net *net,
				      const struct nfkit_key *key)
{
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_target *target;
	struct net_device *dev;

	mutex_lock(&nn->lock);
	target = nfkit_target_find(nn, key);
	if (!target) {
		target = nfkit_target_alloc(nn, key);
		if (!target)
			goto unlock;
		hlist_add_head_rcu(&target->node, nfkit_bucket(nn, key));
		if (key->kind == NFKIT_DEVICE) {
			dev = dev_get_by_name(net, key->device);
			if (dev && dev->type != ARPHRD_ETHER) {
				dev_put(dev);
				dev = NULL;
			}
			nfkit_target_set_device(target, dev);
		}
	}
	target->users++;
unlock:
	mutex_unlock(&nn->lock);
	return target;
}

/* One rule less. x_tables and nf_tables have waited for packets in it. */
void nfkit_target_put(struct nfkit_target *target)
{
	struct nfkit_net *nn = target->nn;
	bool last;

	mutex_lock(&nn->lock);
	last = --target->users == 0;
	if (last) {
		hlist_del_rcu(&target->node);
		nfkit_target_set_device(target, NULL);
	}
	mutex_unlock(&nn->lock);
	if (!last)
		return;
	nfkit_queue_flush_target(target);
	call_rcu(&target->rcu, nfkit_target_free);
}

static void nfkit_target_match_device(struct nfkit_target *target,
				      struct net_device *dev, bool there)
{
	bool ours = rcu_access_pointer(target->dev) == dev;
	bool fits = there && dev->type == ARPHRD_ETHER &&
		    !strcmp(target->key.device, dev->name);

	if (ours && !fits) {
		nfkit_target_set_device(target, NULL);
	} else if (fits && !ours) {
		dev_hold(dev);
		nfkit_target_set_device(target, dev);
	}
}

/* Devices come, go, and take other names. With the RTNL held. */
void nfkit_target_device_event(struct net_device *dev, unsigned long event)
{
	struct nfkit_net *nn = nfkit_net(dev_net(dev));
	struct nfkit_target *target;
	unsigned int bucket;

	if (event != NETDEV_REGISTER && event != NETDEV_UNREGISTER &&
	    event != NETDEV_CHANGENAME)
		return;
	/* A namespace has its loopback device before it has this. */
	if (!nn || !READ_ONCE(nn->ready))
		return;
	mutex_lock(&nn->lock);
	for (bucket = 0; bucket < ARRAY_SIZE(nn->targets); bucket++) {
		hlist_for_each_entry(target, &nn->targets[bucket], node) {
			if (target->key.kind == NFKIT_DEVICE)
				nfkit_target_match_device(target, dev,
							  event != NETDEV_UNREGISTER);
		}
	}
	mutex_unlock(&nn->lock);
}
