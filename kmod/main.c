// SPDX-License-Identifier: GPL-2.0
/*
 * nfkit: copies of packets for mirror ports.
 *
 * Loading and unloading; namespaces and devices that come and go.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/netdevice.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "nfkit.h"

static unsigned int nfkit_net_id __read_mostly;

struct nfkit_net *nfkit_net(const struct net *net)
{
	return net_generic(net, nfkit_net_id);
}

static int __net_init nfkit_init_net(struct net *net)
{
	struct nfkit_net *nn = nfkit_net(net);
	int err;

	mutex_init(&nn->lock);
	mutex_init(&nn->changes);
	INIT_LIST_HEAD(&nn->hooks);
	INIT_LIST_HEAD(&nn->files);
	INIT_LIST_HEAD(&nn->readers);
	nn->net = net;
	nn->queued = alloc_percpu_gfp(unsigned int, GFP_KERNEL_ACCOUNT);
	if (!nn->queued)
		return -ENOMEM;
	err = nfkit_sysctl_init_net(net);
	if (err)
		goto free;
	err = nfkit_counters_init_net(net);
	if (err)
		goto sysctl;
	return 0;

sysctl:
	nfkit_sysctl_exit_net(net);
free:
	free_percpu(nn->queued);
	return err;
}

/*
 * The hooks are gone by now, so nothing more is queued. Rules may outlive
 * this, and with them their targets, which need only what net_generic() holds.
 */
static void __net_exit nfkit_exit_net(struct net *net)
{
	struct nfkit_net *nn = nfkit_net(net);

	nfkit_device_exit_net(nn);
	nfkit_counters_exit_net(net);
	nfkit_sysctl_exit_net(net);
	nfkit_queue_flush_net(nn);
	free_percpu(nn->queued);
}

static struct pernet_operations nfkit_net_ops = {
	.init = nfkit_init_net,
	.exit = nfkit_exit_net,
	.id = &nfkit_net_id,
	.size = sizeof(struct nfkit_net),
};

static int nfkit_netdev_event(struct notifier_block *block,
			      unsigned long event, void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	bool there = event != NETDEV_UNREGISTER;

	switch (event) {
	case NETDEV_REGISTER:
	case NETDEV_CHANGENAME:
	/* A bond takes over what its first port is. */
	case NETDEV_POST_TYPE_CHANGE:
	case NETDEV_UNREGISTER:
		nfkit_hooks_match_device(dev, there);
		nfkit_sinks_match_device(dev, there);
	}
	if (!there)
		nfkit_queue_flush_device(dev);
	return NOTIFY_DONE;
}

static struct notifier_block nfkit_netdev_notifier = {
	.notifier_call = nfkit_netdev_event,
};

static int __init nfkit_init(void)
{
	int err;

	err = nfkit_queue_init();
	if (err)
		return err;
	err = register_pernet_subsys(&nfkit_net_ops);
	if (err)
		goto queue;
	err = register_netdevice_notifier(&nfkit_netdev_notifier);
	if (err)
		goto pernet;
	err = nfkit_device_init();
	if (err)
		goto notifier;
	err = nfkit_xt_init();
	if (err)
		goto device;
	return 0;

device:
	nfkit_device_exit();
notifier:
	unregister_netdevice_notifier(&nfkit_netdev_notifier);
pernet:
	unregister_pernet_subsys(&nfkit_net_ops);
queue:
	nfkit_queue_exit();
	return err;
}

/*
 * Rules and descriptors hold a reference to the module: here there are none, in
 * no namespace. Persistent objects go with the namespaces' parts.
 */
static void __exit nfkit_exit(void)
{
	nfkit_xt_exit();
	nfkit_device_exit();
	unregister_netdevice_notifier(&nfkit_netdev_notifier);
	unregister_pernet_subsys(&nfkit_net_ops);
	nfkit_queue_exit();
	/* Targets are freed after a grace period, by this module's code. */
	rcu_barrier();
}

module_init(nfkit_init);
module_exit(nfkit_exit);

MODULE_DESCRIPTION("Copies of packets for mirror ports");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
