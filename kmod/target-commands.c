// SPDX-License-Identifier: GPL-2.0
/* NFKIT_TARGET_*: clone targets as programs define and read them. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "target.h"

#define NFKIT_SNAPLEN_MIN	60
#define NFKIT_SNAPLEN_MAX	65535
#define NFKIT_BURST_MAX		1000000

#define NFKIT_TARGET_FLAGS						\
	(NFKIT_TARGET_PERSISTENT | NFKIT_TARGET_CREATE |		\
	 NFKIT_TARGET_REROUTE | NFKIT_TARGET_CAPTURE |			\
	 NFKIT_TARGET_RANDOM | NFKIT_TARGET_DROP_OLDEST | NFKIT_TARGET_DEFER)

static bool nfkit_output_vlan_valid(const struct nfkit_output_config *config)
{
	if (!(config->flags & NFKIT_OUTPUT_VLAN))
		return !config->vlan_protocol && !config->vlan_tci;
	return (config->vlan_protocol == ETH_P_8021Q ||
		config->vlan_protocol == ETH_P_8021AD) &&
	       !(config->vlan_tci & VLAN_CFI_MASK) &&
	       (config->vlan_tci & VLAN_VID_MASK) != VLAN_VID_MASK;
}

static bool nfkit_output_config_valid(const struct nfkit_output_config *config)
{
	bool addressed = config->flags & NFKIT_OUTPUT_DESTINATION;

	return nfkit_device_field_valid(config->device) &&
	       !(config->flags & ~(NFKIT_OUTPUT_VLAN | NFKIT_OUTPUT_DESTINATION)) &&
	       nfkit_output_vlan_valid(config) &&
	       addressed == !is_zero_ether_addr(config->destination) &&
	       !config->reserved[0] && !config->reserved[1];
}

static int nfkit_outputs_read(struct nfkit_sinks *sinks,
			      const struct nfkit_target_set *set)
{
	const char __user *from = u64_to_user_ptr(set->outputs);
	unsigned int i, j;
	int err;

	for (i = 0; i < sinks->count; i++) {
		struct nfkit_output_config *config = &sinks->outputs[i].config;

		err = copy_struct_from_user(config, sizeof(*config),
					    from + i * set->output_size,
					    set->output_size);
		if (err)
			return err;
		if (!nfkit_output_config_valid(config))
			return -EINVAL;
		for (j = 0; j < i; j++) {
			if (!strcmp(sinks->outputs[j].config.device,
				    config->device))
				return -EINVAL;
		}
	}
	return 0;
}

static bool nfkit_limits_valid(const struct nfkit_target_set *set)
{
	u32 burst = max_t(u32, set->rate, NFKIT_BURST_MAX);

	if (set->flags & NFKIT_TARGET_RANDOM && set->sample < 2)
		return false;
	if (set->snaplen && (set->snaplen < NFKIT_SNAPLEN_MIN ||
			     set->snaplen > NFKIT_SNAPLEN_MAX))
		return false;
	return set->rate ? set->burst && set->burst <= burst : !set->burst;
}

static int nfkit_target_set_check(const struct nfkit_target_set *set)
{
	if (set->flags & ~NFKIT_TARGET_FLAGS ||
	    !nfkit_name_field_valid(set->name) || !nfkit_limits_valid(set))
		return -EINVAL;
	if (set->mark && !(set->flags & NFKIT_TARGET_REROUTE))
		return -EINVAL;
	if (!set->output_count) {
		if (set->output_size || set->outputs)
			return -EINVAL;
		return set->flags & (NFKIT_TARGET_REROUTE | NFKIT_TARGET_CAPTURE) ?
		       0 : -EINVAL;
	}
	if (set->output_count > NFKIT_MAX_OUTPUTS ||
	    set->output_size < sizeof(struct nfkit_output_config))
		return -EINVAL;
	return set->output_size > PAGE_SIZE ? -E2BIG : 0;
}

int nfkit_target_set(struct nfkit_file *file, struct net *net,
		     void __user *argument)
{
	struct nfkit_target_set set;
	struct nfkit_sinks *sinks;
	u32 size;
	int err;

	err = nfkit_struct_read(&set, sizeof(set), sizeof(set), argument, &size);
	if (!err)
		err = nfkit_target_set_check(&set);
	if (err)
		return err;
	sinks = nfkit_sinks_alloc(set.output_count);
	if (!sinks)
		return -ENOMEM;
	sinks->flags = set.flags;
	sinks->mark = set.mark;
	sinks->sample = max(set.sample, 1U);
	sinks->snaplen = set.snaplen;
	sinks->rate = set.rate;
	sinks->burst = set.burst;
	sinks->queue_limit = set.queue_limit;
	err = nfkit_outputs_read(sinks, &set);
	if (!err)
		err = nfkit_sinks_count_outputs(sinks);
	if (!err)
		err = nfkit_target_define(net, file, set.name, sinks);
	if (err)
		nfkit_sinks_free(sinks);
	else
		WRITE_ONCE(file->used, true);
	return err;
}

int nfkit_target_delete(struct nfkit_file *file, struct net *net,
			void __user *argument)
{
	struct nfkit_delete delete;
	int err = nfkit_delete_read(&delete, argument);

	return err ?: nfkit_target_undefine(nfkit_net(net), file, delete.name);
}

/* With nn->lock held. */
static void nfkit_output_state(const struct nfkit_output *output,
			       struct nfkit_output_state *state)
{
	const struct net_device *dev;

	rcu_read_lock();
	dev = rcu_dereference(output->dev);
	state->ifindex = dev ? dev->ifindex : 0;
	rcu_read_unlock();
	state->config = output->config;
	nfkit_counters_output_stats(output, &state->stats);
}

/* With nn->lock held. */
static int nfkit_target_state(const struct nfkit_file *file,
			      struct nfkit_net *nn,
			      struct nfkit_target_get *get,
			      struct nfkit_output_state *outputs)
{
	const struct nfkit_target *target = nfkit_target_defined(nn, get->name);
	const struct nfkit_sinks *sinks;
	unsigned int i;

	if (!target)
		return -ENOENT;
	sinks = nfkit_target_sinks(target);
	get->flags = (sinks->flags & ~NFKIT_TARGET_CREATE) |
		     (target->owner == file ? NFKIT_OWN : 0);
	get->mark = sinks->mark;
	get->sample = sinks->sample;
	get->snaplen = sinks->snaplen;
	get->rate = sinks->rate;
	get->burst = sinks->burst;
	get->queue_limit = sinks->queue_limit;
	get->output_count = sinks->count;
	get->rules = target->users[NFKIT_USER_RULE];
	get->hooks = target->users[NFKIT_USER_HOOK] +
		     target->users[NFKIT_USER_HOOK_NO_ROUTE];
	get->captures = target->users[NFKIT_USER_CAPTURE];
	nfkit_counters_stats(target->counters, &get->stats);
	for (i = 0; i < sinks->count; i++)
		nfkit_output_state(&sinks->outputs[i], &outputs[i]);
	return 0;
}

static int nfkit_outputs_write(const struct nfkit_output_state *outputs,
			       const struct nfkit_target_get *get, u32 room)
{
	char __user *to = u64_to_user_ptr(get->outputs);
	size_t known = sizeof(*outputs);
	unsigned int i;

	for (i = 0; i < min(get->output_count, room); i++) {
		if (nfkit_struct_write(to, &outputs[i], known, get->output_size))
			return -EFAULT;
		if (get->output_size > known &&
		    clear_user(to + known, get->output_size - known))
			return -EFAULT;
		to += get->output_size;
	}
	return 0;
}

/* But for the size, the name and the room for outputs, all is zero in the call. */
static int nfkit_target_get_check(const struct nfkit_target_get *get)
{
	struct nfkit_target_get rest = *get;

	if (!nfkit_name_field_valid(get->name))
		return -EINVAL;
	if (get->output_size > PAGE_SIZE)
		return -E2BIG;
	if (get->output_count ?
	    get->output_size < sizeof(struct nfkit_output_state) :
	    get->output_size || get->outputs)
		return -EINVAL;
	rest.size = 0;
	memset(rest.name, 0, sizeof(rest.name));
	rest.output_count = 0;
	rest.output_size = 0;
	rest.outputs = 0;
	return memchr_inv(&rest, 0, sizeof(rest)) ? -EINVAL : 0;
}

int nfkit_target_get(struct nfkit_file *file, struct net *net,
		     void __user *argument)
{
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_output_state *outputs;
	struct nfkit_target_get get;
	u32 size, room;
	int err;

	err = nfkit_struct_read(&get, sizeof(get), sizeof(get), argument, &size);
	if (!err)
		err = nfkit_target_get_check(&get);
	if (err)
		return err;
	room = get.output_count;
	outputs = kcalloc(NFKIT_MAX_OUTPUTS, sizeof(*outputs), GFP_KERNEL);
	if (!outputs)
		return -ENOMEM;
	mutex_lock(&nn->lock);
	err = nfkit_target_state(file, nn, &get, outputs);
	mutex_unlock(&nn->lock);
	if (!err)
		err = nfkit_outputs_write(outputs, &get, room);
	if (!err)
		err = nfkit_struct_write(argument, &get, sizeof(get), size);
	kfree(outputs);
	return err;
}

static u32 nfkit_target_names(struct nfkit_net *nn, char *names, u32 room)
{
	struct nfkit_target *target;
	unsigned int bucket;
	u32 count = 0;

	for (bucket = 0; bucket < ARRAY_SIZE(nn->targets); bucket++) {
		hlist_for_each_entry(target, &nn->targets[bucket], node) {
			if (target->key.kind != NFKIT_NAMED ||
			    !nfkit_target_sinks(target))
				continue;
			if (count < room)
				memcpy(names + count * NFKIT_NAME_SIZE,
				       target->key.name, NFKIT_NAME_SIZE);
			count++;
		}
	}
	return count;
}

int nfkit_target_list(struct nfkit_file *file, struct net *net,
		      void __user *argument)
{
	return nfkit_list(nfkit_net(net), argument, NFKIT_MAX_TARGETS,
			  nfkit_target_names);
}
