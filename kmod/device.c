// SPDX-License-Identifier: GPL-2.0
/* /dev/nfkit: descriptors, and whose namespace they belong to. */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>
#include <net/net_namespace.h>

#include "nfkit.h"

/* Of nfkit_net.files and nfkit_file.net. */
static DEFINE_SPINLOCK(nfkit_files_lock);

/* Its namespace, held; NULL: it is gone, or about to go. */
static struct net *nfkit_file_net(const struct nfkit_file *file)
{
	struct net *net;

	spin_lock(&nfkit_files_lock);
	net = file->net ? maybe_get_net(file->net) : NULL;
	spin_unlock(&nfkit_files_lock);
	return net;
}

/* Whether commands answer ENETDOWN. */
bool nfkit_file_gone(const struct nfkit_file *file)
{
	bool gone;

	spin_lock(&nfkit_files_lock);
	gone = !file->net || !check_net(file->net);
	spin_unlock(&nfkit_files_lock);
	return gone;
}

/*
 * The namespace of a descriptor, held until nfkit_leave(). -ENETDOWN: it is gone.
 * -EPERM: who opened the descriptor or who calls has no power there.
 */
struct net *nfkit_enter(struct file *filp)
{
	struct nfkit_file *file = filp->private_data;
	struct net *net;
	int err;

	/* A command that waits for memory of its caller may keep it long. */
	err = down_read_killable(&file->binding);
	if (err)
		return ERR_PTR(err);
	net = nfkit_file_net(file);
	if (!net) {
		up_read(&file->binding);
		return ERR_PTR(-ENETDOWN);
	}
	if (!file_ns_capable(filp, net->user_ns, CAP_NET_ADMIN) ||
	    !ns_capable(net->user_ns, CAP_NET_ADMIN)) {
		nfkit_leave(filp, net);
		return ERR_PTR(-EPERM);
	}
	return net;
}

void nfkit_leave(struct file *filp, struct net *net)
{
	struct nfkit_file *file = filp->private_data;

	put_net(net);
	up_read(&file->binding);
}

static void nfkit_file_bind(struct nfkit_file *file, struct net *net)
{
	spin_lock(&nfkit_files_lock);
	list_del_init(&file->node);
	if (net)
		list_add(&file->node, &nfkit_net(net)->files);
	file->net = net;
	spin_unlock(&nfkit_files_lock);
}

static int nfkit_info(struct nfkit_file *file, struct net *net,
		      void __user *argument)
{
	const struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_info info;
	u32 size;
	int err;

	err = nfkit_struct_read(&info, sizeof(info), sizeof(info), argument,
				&size);
	if (err)
		return err;
	if (memchr_inv((char *)&info + sizeof(info.size), 0,
		       sizeof(info) - sizeof(info.size)))
		return -EINVAL;
	info.targets = READ_ONCE(nn->target_count);
	info.features = NFKIT_FEATURE_TARGETS | NFKIT_FEATURE_REROUTE |
			NFKIT_FEATURE_DEVICES | NFKIT_FEATURE_LIMITS |
			nfkit_hook_features() | nfkit_capture_features();
	info.hooks = READ_ONCE(nn->hook_count);
	info.captures = READ_ONCE(nn->capture_count);
	info.max_targets = NFKIT_MAX_TARGETS;
	info.max_outputs = NFKIT_MAX_OUTPUTS;
	info.max_hooks = NFKIT_MAX_HOOKS;
	info.max_captures = NFKIT_MAX_CAPTURES;
	return nfkit_struct_write(argument, &info, sizeof(info), size);
}

static int nfkit_netns(struct file *filp, void __user *argument)
{
	struct nfkit_file *file = filp->private_data;
	struct nfkit_netns netns;
	struct net *net;
	u32 size;
	int err;

	err = nfkit_struct_read(&netns, sizeof(netns), sizeof(netns), argument,
				&size);
	if (err)
		return err;
	net = get_net_ns_by_fd(netns.fd);
	if (IS_ERR(net))
		return PTR_ERR(net);
	err = -EPERM;
	if (!file_ns_capable(filp, net->user_ns, CAP_NET_ADMIN) ||
	    !ns_capable(net->user_ns, CAP_NET_ADMIN))
		goto put;
	/* No command runs that could make an object where the descriptor was. */
	err = down_write_killable(&file->binding);
	if (err)
		goto put;
	err = file->used ? -EBUSY : 0;
	if (!err)
		nfkit_file_bind(file, net);
	up_write(&file->binding);
put:
	put_net(net);
	return err;
}

static nfkit_command *nfkit_command_of(unsigned int command)
{
	switch (command) {
	case NFKIT_INFO:
		return nfkit_info;
	case NFKIT_TARGET_SET:
		return nfkit_target_set;
	case NFKIT_TARGET_DELETE:
		return nfkit_target_delete;
	case NFKIT_TARGET_GET:
		return nfkit_target_get;
	case NFKIT_TARGET_LIST:
		return nfkit_target_list;
	case NFKIT_HOOK_SET:
		return nfkit_hook_set;
	case NFKIT_HOOK_DELETE:
		return nfkit_hook_delete;
	case NFKIT_HOOK_GET:
		return nfkit_hook_get;
	case NFKIT_HOOK_LIST:
		return nfkit_hook_list;
	case NFKIT_CAPTURE:
		return nfkit_capture_start;
	case NFKIT_CAPTURE_STATS:
		return nfkit_capture_stats;
	case NFKIT_EVENTS:
		return nfkit_events_start;
	default:
		return NULL;
	}
}

static long nfkit_ioctl(struct file *filp, unsigned int command,
			unsigned long argument)
{
	void __user *pointer = (void __user *)argument;
	nfkit_command *run = nfkit_command_of(command);
	struct net *net;
	int err = -ENOTTY;

	net = nfkit_enter(filp);
	if (IS_ERR(net))
		return PTR_ERR(net);
	if (run)
		err = run(filp->private_data, net, pointer);
	nfkit_leave(filp, net);
	/* This one binds the descriptor anew, which no command may see. */
	return command == NFKIT_NETNS ? nfkit_netns(filp, pointer) : err;
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
	init_rwsem(&file->binding);
	init_waitqueue_head(&file->wait);
	INIT_LIST_HEAD(&file->node);
	nfkit_file_bind(file, net);
	filp->private_data = file;
	return nonseekable_open(inode, filp);
}

static int nfkit_release(struct inode *inode, struct file *filp)
{
	struct nfkit_file *file = filp->private_data;
	struct net *net = nfkit_file_net(file);

	/* A namespace that is about to go takes everything with it. */
	if (net) {
		nfkit_hooks_delete_all(nfkit_net(net), file);
		nfkit_target_undefine_all(nfkit_net(net), file);
	}
	nfkit_reader_release(file);
	nfkit_file_bind(file, NULL);
	if (net)
		put_net(net);
	kfree(file);
	return 0;
}

/* The namespace goes: its descriptors know none any more. */
void nfkit_device_exit_net(struct nfkit_net *nn)
{
	struct nfkit_file *file, *next;

	nfkit_readers_exit_net(nn);
	nfkit_hooks_delete_all(nn, NULL);
	nfkit_target_undefine_all(nn, NULL);
	spin_lock(&nfkit_files_lock);
	list_for_each_entry_safe(file, next, &nn->files, node) {
		list_del_init(&file->node);
		file->net = NULL;
		wake_up_interruptible_all(&file->wait);
	}
	spin_unlock(&nfkit_files_lock);
}

static const struct file_operations nfkit_fops = {
	.owner = THIS_MODULE,
	.open = nfkit_open,
	.release = nfkit_release,
	.read = nfkit_reader_read,
	.poll = nfkit_reader_poll,
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
