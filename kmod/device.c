// SPDX-License-Identifier: GPL-2.0
/* /dev/nfkit: what programs define, see uapi/nfkit.h. */
#include <linux/capability.h>
#include <linux/ctype.h>
#include <linux/etherdevice.h>
#include <linux/fs.h>
#include <linux/if_vlan.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>
#include <net/net_namespace.h>

#include "nfkit.h"

/**
 * struct nfkit_file - an open descriptor
 * @node: in nfkit_net.files
 * @net: its namespace, not held; NULL when that is gone
 * @user_ns: whose capabilities count
 */
struct nfkit_file {
	struct list_head node;
	struct net *net;
	struct user_namespace *user_ns;
};

/*
 * Written where descriptors and namespaces come and go, read as long as a
 * command needs its namespace.
 */
static DECLARE_RWSEM(nfkit_files_lock);

bool nfkit_target_name_valid(const char *name)
{
	const char *c;

	for (c = name; *c; c++) {
		if (!isascii(*c) || (!isalnum(*c) && !strchr("_-.", *c)))
			return false;
	}
	return c > name && c - name < NFKIT_NAME_SIZE;
}

/* The bytes of a name: valid, and nothing but zeros behind. */
static bool nfkit_name_field_valid(const char *name)
{
	size_t length = strnlen(name, NFKIT_NAME_SIZE);

	return length < NFKIT_NAME_SIZE &&
	       !memchr_inv(name + length, 0, NFKIT_NAME_SIZE - length) &&
	       nfkit_target_name_valid(name);
}

/*
 * Reads a struct that begins with its size, which is answered. A first version
 * has @first bytes.
 */
static int nfkit_read(void *into, size_t known, size_t first,
		      const void __user *from, u32 *size)
{
	int err;

	if (get_user(*size, (const u32 __user *)from))
		return -EFAULT;
	if (*size < first)
		return -EINVAL;
	if (*size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(into, known, from, *size);
	if (err)
		return err;
	/* It could have changed meanwhile. */
	*(u32 *)into = known;
	return 0;
}

static int nfkit_write(void __user *to, const void *what, size_t known, u32 size)
{
	return copy_to_user(to, what, min_t(size_t, known, size)) ? -EFAULT : 0;
}

static int nfkit_info(struct net *net, void __user *argument)
{
	struct nfkit_info info;
	u32 size;
	int err;

	err = nfkit_read(&info, sizeof(info), sizeof(info), argument, &size);
	if (err)
		return err;
	if (memchr_inv((char *)&info + sizeof(info.size), 0,
		       sizeof(info) - sizeof(info.size)))
		return -EINVAL;
	info.targets = READ_ONCE(nfkit_net(net)->defined);
	info.features = NFKIT_FEATURE_TARGETS | NFKIT_FEATURE_REROUTE |
			NFKIT_FEATURE_DEVICES | NFKIT_FEATURE_SAMPLE;
	info.max_targets = NFKIT_MAX_TARGETS;
	info.max_outputs = NFKIT_MAX_OUTPUTS;
	return nfkit_write(argument, &info, sizeof(info), size);
}

static bool nfkit_output_config_valid(const struct nfkit_output_config *config)
{
	size_t length = strnlen(config->device, sizeof(config->device));

	if (length == sizeof(config->device) || !dev_valid_name(config->device) ||
	    strchr(config->device, ',') ||
	    memchr_inv(config->device + length, 0,
		       sizeof(config->device) - length))
		return false;
	if (config->flags & ~(NFKIT_OUTPUT_VLAN | NFKIT_OUTPUT_DESTINATION))
		return false;
	if (config->flags & NFKIT_OUTPUT_VLAN) {
		if ((config->vlan_protocol != ETH_P_8021Q &&
		     config->vlan_protocol != ETH_P_8021AD) ||
		    config->vlan_tci & VLAN_CFI_MASK ||
		    (config->vlan_tci & VLAN_VID_MASK) == VLAN_VID_MASK)
			return false;
	} else if (config->vlan_protocol || config->vlan_tci) {
		return false;
	}
	if (!(config->flags & NFKIT_OUTPUT_DESTINATION) ==
	    !is_zero_ether_addr(config->destination))
		return false;
	return !config->reserved[0] && !config->reserved[1];
}

static int nfkit_read_outputs(struct nfkit_sinks *sinks,
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

static bool nfkit_target_set_valid(const struct nfkit_target_set *set)
{
	if (set->flags & ~(NFKIT_TARGET_PERSISTENT | NFKIT_TARGET_CREATE |
			   NFKIT_TARGET_REROUTE | NFKIT_TARGET_RANDOM))
		return false;
	if (!nfkit_name_field_valid(set->name))
		return false;
	if (!(set->flags & NFKIT_TARGET_REROUTE) &&
	    (set->mark || !set->output_count))
		return false;
	if (set->flags & NFKIT_TARGET_RANDOM && set->sample < 2)
		return false;
	if (!set->output_count)
		return !set->output_size && !set->outputs;
	return set->output_count <= NFKIT_MAX_OUTPUTS &&
	       set->output_size >= sizeof(struct nfkit_output_config) &&
	       set->output_size <= PAGE_SIZE;
}

static int nfkit_target_set(const struct nfkit_file *file, struct net *net,
			    void __user *argument)
{
	struct nfkit_target_set set;
	struct nfkit_sinks *sinks;
	u32 size;
	int err;

	err = nfkit_read(&set, sizeof(set), sizeof(set), argument, &size);
	if (err)
		return err;
	if (!nfkit_target_set_valid(&set))
		return -EINVAL;
	sinks = nfkit_sinks_alloc(set.output_count);
	if (!sinks)
		return -ENOMEM;
	sinks->reroute = set.flags & NFKIT_TARGET_REROUTE;
	sinks->random = set.flags & NFKIT_TARGET_RANDOM;
	sinks->mark = set.mark;
	sinks->sample = max(set.sample, 1U);
	err = nfkit_read_outputs(sinks, &set);
	if (!err)
		err = nfkit_target_define(net, file, set.name, set.flags, sinks);
	if (err)
		nfkit_sinks_free(sinks);
	return err;
}

static int nfkit_delete(const struct nfkit_file *file, struct net *net,
			void __user *argument)
{
	struct nfkit_target_delete delete;
	u32 size;
	int err;

	err = nfkit_read(&delete, sizeof(delete), sizeof(delete), argument,
			 &size);
	if (err)
		return err;
	if (delete.reserved || !nfkit_name_field_valid(delete.name))
		return -EINVAL;
	return nfkit_target_delete(nfkit_net(net), file, delete.name);
}

static int nfkit_target_state(const struct nfkit_file *file,
			      struct nfkit_net *nn,
			      struct nfkit_target_get *get,
			      struct nfkit_output_state *outputs)
{
	const struct nfkit_target *target;
	const struct nfkit_sinks *sinks;
	unsigned int i;

	target = nfkit_target_named(nn, get->name);
	if (!target)
		return -ENOENT;
	sinks = rcu_dereference_protected(target->sinks,
					  lockdep_is_held(&nn->lock));
	get->flags = (target->owner ? 0 : NFKIT_TARGET_PERSISTENT) |
		     (target->owner == file ? NFKIT_TARGET_OWN : 0) |
		     (sinks->reroute ? NFKIT_TARGET_REROUTE : 0) |
		     (sinks->random ? NFKIT_TARGET_RANDOM : 0);
	get->mark = sinks->mark;
	get->sample = sinks->sample;
	get->output_count = sinks->count;
	get->rules = target->rules;
	nfkit_counters_stats(target->counters, &get->stats);
	for (i = 0; i < sinks->count; i++) {
		const struct nfkit_output *output = &sinks->outputs[i];
		const struct net_device *dev;

		rcu_read_lock();
		dev = rcu_dereference(output->dev);
		outputs[i].ifindex = dev ? dev->ifindex : 0;
		rcu_read_unlock();
		outputs[i].config = output->config;
		nfkit_counters_stats(output->counters, &outputs[i].stats);
	}
	return 0;
}

static int nfkit_write_outputs(const struct nfkit_output_state *outputs,
			       const struct nfkit_target_get *get, u32 room)
{
	char __user *to = u64_to_user_ptr(get->outputs);
	size_t known = sizeof(*outputs);
	unsigned int i;

	for (i = 0; i < min(get->output_count, room); i++) {
		if (nfkit_write(to, &outputs[i], known, get->output_size))
			return -EFAULT;
		if (get->output_size > known &&
		    clear_user(to + known, get->output_size - known))
			return -EFAULT;
		to += get->output_size;
	}
	return 0;
}

static int nfkit_target_get_state(const struct nfkit_file *file,
				  struct net *net, void __user *argument)
{
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_output_state *outputs;
	struct nfkit_target_get *get;
	u32 size, room;
	int err;

	outputs = kcalloc(NFKIT_MAX_OUTPUTS, sizeof(*outputs), GFP_KERNEL);
	get = kmalloc(sizeof(*get), GFP_KERNEL);
	err = -ENOMEM;
	if (!outputs || !get)
		goto free;
	err = nfkit_read(get, sizeof(*get), sizeof(*get), argument, &size);
	if (err)
		goto free;
	err = -EINVAL;
	if (get->flags || get->mark || get->sample || get->rules ||
	    get->reserved || memchr_inv(&get->stats, 0, sizeof(get->stats)) ||
	    !nfkit_name_field_valid(get->name) || get->output_size > PAGE_SIZE)
		goto free;
	room = get->output_count;
	if (room ? get->output_size < sizeof(*outputs) :
		   get->output_size || get->outputs)
		goto free;
	mutex_lock(&nn->lock);
	err = nfkit_target_state(file, nn, get, outputs);
	mutex_unlock(&nn->lock);
	if (!err)
		err = nfkit_write_outputs(outputs, get, room);
	if (!err)
		err = nfkit_write(argument, get, sizeof(*get), size);
free:
	kfree(get);
	kfree(outputs);
	return err;
}

static int nfkit_target_names(struct net *net, void __user *argument)
{
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_target_list list;
	u32 size, room, copied;
	char *names;
	int err;

	err = nfkit_read(&list, sizeof(list), sizeof(list), argument, &size);
	if (err)
		return err;
	if (!list.count && list.names)
		return -EINVAL;
	room = min_t(u32, list.count, NFKIT_MAX_TARGETS);
	names = kvcalloc(max(room, 1U), NFKIT_NAME_SIZE, GFP_KERNEL);
	if (!names)
		return -ENOMEM;
	list.count = nfkit_target_name_all(nn, names, room);
	copied = min(list.count, room);
	if (copy_to_user(u64_to_user_ptr(list.names), names,
			 copied * NFKIT_NAME_SIZE))
		err = -EFAULT;
	else
		err = nfkit_write(argument, &list, sizeof(list), size);
	kvfree(names);
	return err;
}

static int nfkit_command(const struct nfkit_file *file, struct net *net,
			 unsigned int command, void __user *argument)
{
	switch (command) {
	case NFKIT_INFO:
		return nfkit_info(net, argument);
	case NFKIT_TARGET_SET:
		return nfkit_target_set(file, net, argument);
	case NFKIT_TARGET_DELETE:
		return nfkit_delete(file, net, argument);
	case NFKIT_TARGET_GET:
		return nfkit_target_get_state(file, net, argument);
	case NFKIT_TARGET_LIST:
		return nfkit_target_names(net, argument);
	default:
		return -ENOTTY;
	}
}

static long nfkit_ioctl(struct file *filp, unsigned int command,
			unsigned long argument)
{
	const struct nfkit_file *file = filp->private_data;
	int err = -ENETDOWN;

	if (!file_ns_capable(filp, file->user_ns, CAP_NET_ADMIN) ||
	    !ns_capable(file->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	down_read(&nfkit_files_lock);
	if (file->net)
		err = nfkit_command(file, file->net, command,
				    (void __user *)argument);
	up_read(&nfkit_files_lock);
	return err;
}

static int nfkit_open(struct inode *inode, struct file *filp)
{
	struct net *net = current->nsproxy->net_ns;
	struct nfkit_file *file;

	if (!ns_capable(net->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);
	if (!file)
		return -ENOMEM;
	file->net = net;
	file->user_ns = get_user_ns(net->user_ns);
	down_write(&nfkit_files_lock);
	list_add(&file->node, &nfkit_net(net)->files);
	up_write(&nfkit_files_lock);
	filp->private_data = file;
	return nonseekable_open(inode, filp);
}

static int nfkit_release(struct inode *inode, struct file *filp)
{
	struct nfkit_file *file = filp->private_data;

	down_read(&nfkit_files_lock);
	if (file->net)
		nfkit_target_delete_all(nfkit_net(file->net), file);
	up_read(&nfkit_files_lock);
	down_write(&nfkit_files_lock);
	list_del(&file->node);
	up_write(&nfkit_files_lock);
	put_user_ns(file->user_ns);
	kfree(file);
	return 0;
}

/* The namespace goes: its descriptors know none any more. */
void nfkit_device_exit_net(struct nfkit_net *nn)
{
	struct nfkit_file *file, *next;

	down_write(&nfkit_files_lock);
	list_for_each_entry_safe(file, next, &nn->files, node) {
		list_del_init(&file->node);
		file->net = NULL;
	}
	up_write(&nfkit_files_lock);
	nfkit_target_delete_all(nn, NULL);
}

static const struct file_operations nfkit_fops = {
	.owner = THIS_MODULE,
	.open = nfkit_open,
	.release = nfkit_release,
	.unlocked_ioctl = nfkit_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice nfkit_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "nfkit",
	.mode = 0600,
	.fops = &nfkit_fops,
};

int __init nfkit_device_init(void)
{
	return misc_register(&nfkit_misc);
}

void nfkit_device_exit(void)
{
	misc_deregister(&nfkit_misc);
}
