// SPDX-License-Identifier: GPL-2.0
/* NFKIT_HOOK_SET, _DELETE, _GET and _LIST, see uapi/nfkit_hook.h. */
#include <linux/build_bug.h>
#include <linux/err.h>
#include <linux/filter.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "hook.h"

static int nfkit_hook_read_program(struct nfkit_hook_definition *definition)
{
	const struct nfkit_hook_set *set = &definition->config;
	struct sock_fprog_kern program = { .len = set->instruction_count };
	size_t size = set->instruction_count * sizeof(*program.filter);
	int err;

	if (!size)
		return 0;
	program.filter = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!program.filter)
		return -ENOMEM;
	definition->instructions = program.filter;
	if (copy_from_user(program.filter, u64_to_user_ptr(set->instructions),
			   size))
		return -EFAULT;
	err = bpf_prog_create(&definition->program, &program);
	/* What it cannot translate has an error that programs do not know. */
	return err && err != -ENOMEM ? -EINVAL : err;
}

static int nfkit_hook_get_target(struct net *net,
				 struct nfkit_hook_definition *definition)
{
	const struct nfkit_hook_set *set = &definition->config;
	struct nfkit_key key = { .kind = NFKIT_NAMED };
	struct nfkit_target *target;

	if (!*set->target)
		return 0;
	strscpy(key.name, set->target, sizeof(key.name));
	definition->user = nfkit_point_row(set->point)->routes ?
			   NFKIT_USER_HOOK : NFKIT_USER_HOOK_NO_ROUTE;
	target = nfkit_target_get_for(net, &key, definition->user);
	if (IS_ERR(target))
		return PTR_ERR(target);
	definition->target = target;
	return 0;
}

int nfkit_hook_set(struct nfkit_file *file, struct net *net,
		   void __user *argument)
{
	struct nfkit_hook_definition *definition;
	struct nfkit_hook_set *set;
	u32 size;
	int err;

	definition = kzalloc(sizeof(*definition), GFP_KERNEL_ACCOUNT);
	if (!definition)
		return -ENOMEM;
	set = &definition->config;
	err = nfkit_struct_read(set, sizeof(*set), sizeof(*set), argument,
				&size);
	if (err)
		goto free;
	err = -EINVAL;
	if (!nfkit_hook_set_valid(set))
		goto free;
	err = -EOPNOTSUPP;
	if (nfkit_point_row(set->point)->absent)
		goto free;
	err = nfkit_hook_read_program(definition);
	if (!err)
		err = nfkit_hook_get_target(net, definition);
	if (!err)
		err = nfkit_hook_define(net, file, definition);
	if (err)
		goto free;
	WRITE_ONCE(file->used, true);
	return 0;

free:
	nfkit_hook_definition_free(definition);
	return err;
}

int nfkit_hook_delete(struct nfkit_file *file, struct net *net,
		      void __user *argument)
{
	struct nfkit_delete delete;
	int err = nfkit_delete_read(&delete, argument);

	return err ?: nfkit_hook_remove(net, file, delete.name);
}

static void nfkit_hook_sum(const struct nfkit_hook *hook,
			   struct nfkit_hook_stats *stats)
{
	int cpu;

	BUILD_BUG_ON(sizeof(*stats) > sizeof(struct nfkit_stats));
	BUILD_BUG_ON(sizeof(*stats) != NFKIT_HOOK_COUNTERS * sizeof(u64));
	BUILD_BUG_ON(offsetof(struct nfkit_hook_stats, no_memory) !=
		     NFKIT_HOOK_NO_MEMORY * sizeof(u64));
	for_each_possible_cpu(cpu) {
		const struct nfkit_hook_counters *counters;

		counters = per_cpu_ptr(hook->counters, cpu);
		nfkit_counters_add((u64 *)stats, counters->value,
				   NFKIT_HOOK_COUNTERS, &counters->syncp);
	}
}

/* With room for as many instructions as may be copied. */
static int nfkit_hook_state(const struct nfkit_file *file, struct nfkit_net *nn,
			    struct nfkit_hook_get *get,
			    struct sock_filter *instructions, u32 room)
{
	const struct nfkit_hook_definition *definition;
	struct nfkit_hook_set *set = &get->hook;
	const struct nfkit_hook *hook;
	u64 address = set->instructions;

	hook = nfkit_hook_find(nn, set->name);
	if (!hook)
		return -ENOENT;
	definition = nfkit_hook_definition(nn, hook);
	*set = definition->config;
	set->size = sizeof(*get);
	set->flags &= ~NFKIT_HOOK_CREATE;
	if (hook->owner == file)
		set->flags |= NFKIT_OWN;
	set->instructions = address;
	memcpy(instructions, definition->instructions,
	       min(room, set->instruction_count) * sizeof(*instructions));
	nfkit_hook_sum(hook, &get->stats);
	return 0;
}

/* Nothing but what the caller says of itself. */
static bool nfkit_hook_get_valid(const struct nfkit_hook_get *get)
{
	struct nfkit_hook_get empty = {
		.hook.size = get->hook.size,
		.hook.instruction_count = get->hook.instruction_count,
		.hook.instructions = get->hook.instructions,
	};

	memcpy(empty.hook.name, get->hook.name, sizeof(empty.hook.name));
	return !memcmp(&empty, get, sizeof(empty)) &&
	       nfkit_name_field_valid(get->hook.name) &&
	       (get->hook.instruction_count || !get->hook.instructions);
}

int nfkit_hook_get(struct nfkit_file *file, struct net *net,
		   void __user *argument)
{
	struct nfkit_net *nn = nfkit_net(net);
	struct sock_filter *instructions;
	struct nfkit_hook_get get;
	u32 size, room;
	int err;

	err = nfkit_struct_read(&get, sizeof(get), sizeof(get), argument,
				&size);
	if (err)
		return err;
	if (!nfkit_hook_get_valid(&get))
		return -EINVAL;
	room = min_t(u32, get.hook.instruction_count, NFKIT_MAX_INSTRUCTIONS);
	instructions = kvmalloc_array(max(room, 1U), sizeof(*instructions),
				      GFP_KERNEL);
	if (!instructions)
		return -ENOMEM;
	mutex_lock(&nn->lock);
	err = nfkit_hook_state(file, nn, &get, instructions, room);
	mutex_unlock(&nn->lock);
	if (!err &&
	    copy_to_user(u64_to_user_ptr(get.hook.instructions), instructions,
			 min(room, get.hook.instruction_count) *
			 sizeof(*instructions)))
		err = -EFAULT;
	if (!err)
		err = nfkit_struct_write(argument, &get, sizeof(get), size);
	kvfree(instructions);
	return err;
}

static u32 nfkit_hook_names(struct nfkit_net *nn, char *names, u32 room)
{
	const struct nfkit_hook *hook;
	u32 count = 0;

	list_for_each_entry(hook, &nn->hooks, node) {
		if (count < room)
			memcpy(names + count * NFKIT_NAME_SIZE, hook->name,
			       NFKIT_NAME_SIZE);
		count++;
	}
	return count;
}

int nfkit_hook_list(struct nfkit_file *file, struct net *net,
		    void __user *argument)
{
	return nfkit_list(nfkit_net(net), argument, NFKIT_MAX_HOOKS,
			  nfkit_hook_names);
}
