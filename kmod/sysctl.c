// SPDX-License-Identifier: GPL-2.0
/* net.nfkit.*: what can be tuned in each namespace. */
#include <linux/slab.h>
#include <linux/sysctl.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "nfkit.h"

#define NFKIT_QUEUE_LIMIT 1000

static unsigned int nfkit_queue_limit_max = 1000000;

/* The second entry is the end. */
static const struct ctl_table nfkit_sysctl_table[] = {
	{
		.procname = "queue_limit",
		.maxlen = sizeof(unsigned int),
		.mode = 0644,
		.proc_handler = proc_douintvec_minmax,
	},
	{ }
};

/*
 * Whoever is root in a user namespace may write the values of its network
 * namespaces, up to what the initial namespace has.
 */
int nfkit_sysctl_init_net(struct net *net)
{
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_net *initial = nfkit_net(&init_net);
	struct ctl_table *table;

	table = kmemdup(nfkit_sysctl_table, sizeof(nfkit_sysctl_table),
			GFP_KERNEL_ACCOUNT);
	if (!table)
		return -ENOMEM;
	nn->queue_limit = NFKIT_QUEUE_LIMIT;
	table[0].data = &nn->queue_limit;
	if (net_eq(net, &init_net)) {
		table[0].extra2 = &nfkit_queue_limit_max;
	} else {
		nn->queue_limit = READ_ONCE(initial->queue_limit);
		table[0].extra2 = &initial->queue_limit;
	}
	nn->sysctl = nfkit_register_sysctl(net, "net/nfkit", table, 1);
	if (!nn->sysctl) {
		kfree(table);
		return -ENOMEM;
	}
	nn->sysctl_table = table;
	return 0;
}

void nfkit_sysctl_exit_net(struct net *net)
{
	struct nfkit_net *nn = nfkit_net(net);

	unregister_net_sysctl_table(nn->sysctl);
	kfree(nn->sysctl_table);
}
