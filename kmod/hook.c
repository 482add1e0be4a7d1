// SPDX-License-Identifier: GPL-2.0
/* Hooks: none are known yet. */
#include <linux/errno.h>

#include "nfkit.h"

int nfkit_hook_set(struct nfkit_file *file, struct net *net,
		   void __user *argument)
{
	return -ENOTTY;
}

int nfkit_hook_delete(struct nfkit_file *file, struct net *net,
		      void __user *argument)
{
	return -ENOTTY;
}

int nfkit_hook_get(struct nfkit_file *file, struct net *net,
		   void __user *argument)
{
	return -ENOTTY;
}

int nfkit_hook_list(struct nfkit_file *file, struct net *net,
		    void __user *argument)
{
	return -ENOTTY;
}

u64 nfkit_hook_features(void)
{
	return 0;
}

int nfkit_hooks_init_net(struct net *net)
{
	return 0;
}

void nfkit_hooks_exit_net(struct net *net)
{
}

void nfkit_hooks_delete_all(struct nfkit_net *nn, const struct nfkit_file *file)
{
}

void nfkit_hooks_device_event(struct net_device *dev, unsigned long event)
{
}
