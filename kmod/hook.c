// SPDX-License-Identifier: GPL-2.0
/*
 * The hooks of a namespace: made, made anew, deleted.
 *
 * A packet may be in a hook that was taken away, or in a definition that was
 * replaced, until a grace period is over; they are freed after it. It is
 * waited for here, since a clone target must not lose its user before that.
 */
#include <linux/err.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/net_namespace.h>

#include "hook.h"

struct nfkit_hook *nfkit_hook_find(struct nfkit_net *nn, const char *name)
{
	struct nfkit_hook *hook;

	list_for_each_entry(hook, &nn->hooks, node) {
		if (!strcmp(hook->name, name))
			return hook;
	}
	return NULL;
}

struct nfkit_hook_definition *
nfkit_hook_definition(struct nfkit_net *nn, const struct nfkit_hook *hook)
{
	return rcu_dereference_protected(hook->place->definition,
					 lockdep_is_held(&nn->lock));
}

/* No packet is in it any more. */
void nfkit_hook_definition_free(struct nfkit_hook_definition *definition)
{
	if (definition->target)
		nfkit_target_put_for(definition->target, definition->user);
	if (definition->program)
		bpf_prog_destroy(definition->program);
	kvfree(definition->instructions);
	kfree(definition);
}

static struct nfkit_hook *nfkit_hook_alloc(const char *name)
{
	struct nfkit_hook *hook;
	int cpu;

	hook = kzalloc(sizeof(*hook), GFP_KERNEL_ACCOUNT);
	if (!hook)
		return NULL;
	hook->counters = alloc_percpu_gfp(struct nfkit_hook_counters,
					  GFP_KERNEL_ACCOUNT);
	if (!hook->counters) {
		kfree(hook);
		return NULL;
	}
	for_each_possible_cpu(cpu)
		u64_stats_init(&per_cpu_ptr(hook->counters, cpu)->syncp);
	strscpy(hook->name, name, sizeof(hook->name));
	return hook;
}

static void nfkit_hook_free(struct nfkit_hook *hook)
{
	free_percpu(hook->counters);
	kfree(hook);
}

static int nfkit_hook_may_define(const struct nfkit_net *nn,
				 const struct nfkit_file *file,
				 const struct nfkit_hook *hook, u32 flags)
{
	if (!hook)
		return nn->hook_count < NFKIT_MAX_HOOKS ? 0 : -ENOSPC;
	if (flags & NFKIT_HOOK_CREATE)
		return -EEXIST;
	return hook->owner && hook->owner != file ? -EPERM : 0;
}

/*
 * Puts the definition in the hook's place, or the hook into another one.
 * Answers with what was there, to be freed.
 */
static int nfkit_hook_redefine(struct net *net, struct nfkit_hook *hook,
			       struct nfkit_hook_definition *definition,
			       struct nfkit_hook_definition **old_definition,
			       struct nfkit_hook_place **old_place)
{
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_hook_place *place = hook->place;

	definition->counters = hook->counters;
	nfkit_hook_find_devices(net, definition);
	if (place) {
		*old_definition = nfkit_hook_definition(nn, hook);
		if (nfkit_hook_place_fits(&(*old_definition)->config,
					  &definition->config)) {
			rcu_assign_pointer(place->definition, definition);
			return 0;
		}
	}
	place = nfkit_hook_place_new(net, definition);
	if (IS_ERR(place))
		return PTR_ERR(place);
	*old_place = hook->place;
	hook->place = place;
	if (*old_place)
		nfkit_hook_place_leave(net, *old_place);
	return 0;
}

/* Takes the definition over if it answers 0. */
int nfkit_hook_define(struct net *net, const struct nfkit_file *file,
		      struct nfkit_hook_definition *definition)
{
	struct nfkit_hook_definition *old_definition = NULL;
	const struct nfkit_hook_set *set = &definition->config;
	struct nfkit_hook_place *old_place = NULL;
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_hook *hook;
	int err;

	mutex_lock(&nn->lock);
	hook = nfkit_hook_find(nn, set->name);
	err = nfkit_hook_may_define(nn, file, hook, set->flags);
	if (err)
		goto unlock;
	if (!hook) {
		hook = nfkit_hook_alloc(set->name);
		err = hook ? nfkit_hook_redefine(net, hook, definition,
						 &old_definition, &old_place) :
			     -ENOMEM;
		if (!err) {
			list_add(&hook->node, &nn->hooks);
			nn->hook_count++;
		} else if (hook) {
			nfkit_hook_free(hook);
		}
	} else {
		err = nfkit_hook_redefine(net, hook, definition,
					  &old_definition, &old_place);
	}
	if (!err)
		hook->owner = set->flags & NFKIT_HOOK_PERSISTENT ? NULL : file;
unlock:
	mutex_unlock(&nn->lock);
	if (err || !old_definition)
		return err;
	synchronize_rcu_expedited();
	nfkit_hook_definition_free(old_definition);
	kfree(old_place);
	return 0;
}

/* With nfkit_net.lock held: no longer called, to be freed. */
static void nfkit_hook_take_out(struct net *net, struct nfkit_hook *hook,
				struct list_head *to)
{
	nfkit_hook_place_leave(net, hook->place);
	list_move(&hook->node, to);
	nfkit_net(net)->hook_count--;
}

static void nfkit_hooks_free(struct list_head *hooks)
{
	struct nfkit_hook *hook, *next;

	if (list_empty(hooks))
		return;
	synchronize_rcu_expedited();
	list_for_each_entry_safe(hook, next, hooks, node) {
		struct nfkit_hook_place *place = hook->place;

		nfkit_hook_definition_free(rcu_dereference_protected(place->definition, true));
		kfree(place);
		nfkit_hook_free(hook);
	}
}

int nfkit_hook_remove(struct net *net, const struct nfkit_file *file,
		      const char *name)
{
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_hook *hook;
	LIST_HEAD(removed);
	int err = 0;

	mutex_lock(&nn->lock);
	hook = nfkit_hook_find(nn, name);
	if (!hook)
		err = -ENOENT;
	else if (hook->owner && hook->owner != file)
		err = -EPERM;
	else
		nfkit_hook_take_out(net, hook, &removed);
	mutex_unlock(&nn->lock);
	nfkit_hooks_free(&removed);
	return err;
}

/* Those that go with the descriptor; all, if it is NULL. */
void nfkit_hooks_delete_all(struct nfkit_net *nn, const struct nfkit_file *file)
{
	struct nfkit_hook *hook, *next;
	LIST_HEAD(removed);

	mutex_lock(&nn->lock);
	list_for_each_entry_safe(hook, next, &nn->hooks, node) {
		if (!file || hook->owner == file)
			nfkit_hook_take_out(nn->net, hook, &removed);
	}
	mutex_unlock(&nn->lock);
	nfkit_hooks_free(&removed);
}

/* A device came, goes, or is another than before. With the RTNL held. */
void nfkit_hooks_match_device(struct net_device *dev, bool there)
{
	struct nfkit_net *nn = nfkit_net(dev_net(dev));
	struct nfkit_hook *hook;

	mutex_lock(&nn->lock);
	list_for_each_entry(hook, &nn->hooks, node)
		nfkit_hook_place_device(dev, there, hook->place,
					nfkit_hook_definition(nn, hook));
	mutex_unlock(&nn->lock);
}
