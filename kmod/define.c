// SPDX-License-Identifier: GPL-2.0
/* What programs say of clone targets, changed while packets pass. */
#include <linux/rcupdate.h>
#include <linux/string.h>

#include "target.h"

/*
 * These definitions are found no longer: when every packet that met one is
 * through, their copies go, and they themselves. With nn->changes held, so that
 * counters that were handed on are still those of the next one.
 */
static void nfkit_retire(struct nfkit_sinks *retired)
{
	struct nfkit_sinks *sinks;

	if (!retired)
		return;
	synchronize_rcu_expedited();
	while (retired) {
		sinks = retired;
		retired = sinks->next;
		nfkit_queue_flush_sinks(sinks);
		nfkit_sinks_free(sinks);
	}
}

/* What forbids it. With nn->lock held. */
static int nfkit_check_define(const struct nfkit_target *target,
			      const struct nfkit_file *file,
			      const struct nfkit_sinks *sinks)
{
	if (nfkit_target_sinks(target)) {
		if (sinks->flags & NFKIT_TARGET_CREATE)
			return -EEXIST;
		if (target->owner && target->owner != file)
			return -EPERM;
	} else if (target->nn->target_count >= NFKIT_MAX_TARGETS) {
		return -ENOSPC;
	}
	if (sinks->flags & NFKIT_TARGET_REROUTE &&
	    target->users[NFKIT_USER_HOOK_NO_ROUTE])
		return -EINVAL;
	return 0;
}

static void nfkit_target_new_sinks(struct net *net, struct nfkit_target *target,
				   struct nfkit_sinks *sinks)
{
	struct nfkit_net *nn = target->nn;
	bool defined = nfkit_target_sinks(target);
	bool paused = target->paused;
	const char *name = target->key.name;

	nfkit_sinks_attach(net, target, sinks);
	if (!defined) {
		nn->target_count++;
		nfkit_event(nn, NFKIT_EVENT_TARGET_NEW, name, "", 0);
		return;
	}
	nfkit_event(nn, NFKIT_EVENT_TARGET_CHANGED, name, "", 0);
	if (paused && !target->paused)
		nfkit_event(nn, NFKIT_EVENT_TARGET_RESUMED, name, "", 0);
}

/* Takes the sinks over if it succeeds. */
int nfkit_target_define(struct net *net, const struct nfkit_file *file,
			const char *name, struct nfkit_sinks *sinks)
{
	struct nfkit_key key = { .kind = NFKIT_NAMED };
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_target *target;
	struct nfkit_sinks *old;
	bool persistent = sinks->flags & NFKIT_TARGET_PERSISTENT;
	int err;

	strscpy(key.name, name, sizeof(key.name));
	mutex_lock(&nn->changes);
	target = nfkit_target_get_for(net, &key, NFKIT_USER_DEFINITION);
	if (IS_ERR(target)) {
		err = PTR_ERR(target);
		goto unlock;
	}
	mutex_lock(&nn->lock);
	old = nfkit_target_sinks(target);
	err = nfkit_check_define(target, file, sinks);
	if (!err) {
		nfkit_target_new_sinks(net, target, sinks);
		target->owner = persistent ? NULL : file;
	}
	mutex_unlock(&nn->lock);
	if (!err)
		nfkit_retire(old);
	/* The definition before this one was such a user already. */
	if (err || old)
		nfkit_target_put_for(target, NFKIT_USER_DEFINITION);
unlock:
	mutex_unlock(&nn->changes);
	return err;
}

/* With nn->lock held. */
static struct nfkit_sinks *nfkit_target_remove_sinks(struct nfkit_target *target)
{
	struct nfkit_sinks *old = nfkit_target_sinks(target);

	RCU_INIT_POINTER(target->sinks, NULL);
	target->owner = NULL;
	target->paused = false;
	target->nn->target_count--;
	nfkit_event(target->nn, NFKIT_EVENT_TARGET_DELETED, target->key.name,
		    "", 0);
	return old;
}

int nfkit_target_undefine(struct nfkit_net *nn, const struct nfkit_file *file,
			  const char *name)
{
	struct nfkit_target *target;
	struct nfkit_sinks *old = NULL;
	int err = 0;

	mutex_lock(&nn->changes);
	mutex_lock(&nn->lock);
	target = nfkit_target_defined(nn, name);
	if (!target)
		err = -ENOENT;
	else if (target->owner && target->owner != file)
		err = -EPERM;
	else
		old = nfkit_target_remove_sinks(target);
	mutex_unlock(&nn->lock);
	if (!err) {
		nfkit_retire(old);
		nfkit_target_put_for(target, NFKIT_USER_DEFINITION);
	}
	mutex_unlock(&nn->changes);
	return err;
}

/* Those of a descriptor; without one, all that programs have defined. */
void nfkit_target_undefine_all(struct nfkit_net *nn,
			       const struct nfkit_file *file)
{
	struct nfkit_target *target, *targets[64];
	struct nfkit_sinks *retired, *old;
	unsigned int count, bucket, i;

	mutex_lock(&nn->changes);
	do {
		count = 0;
		retired = NULL;
		mutex_lock(&nn->lock);
		for (bucket = 0; bucket < ARRAY_SIZE(nn->targets); bucket++) {
			hlist_for_each_entry(target, &nn->targets[bucket], node) {
				if (count == ARRAY_SIZE(targets) ||
				    target->key.kind != NFKIT_NAMED ||
				    !nfkit_target_sinks(target) ||
				    (file && target->owner != file))
					continue;
				old = nfkit_target_remove_sinks(target);
				old->next = retired;
				retired = old;
				targets[count++] = target;
			}
		}
		mutex_unlock(&nn->lock);
		nfkit_retire(retired);
		for (i = 0; i < count; i++)
			nfkit_target_put_for(targets[i], NFKIT_USER_DEFINITION);
	} while (count);
	mutex_unlock(&nn->changes);
}
