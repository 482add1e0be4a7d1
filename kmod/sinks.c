// SPDX-License-Identifier: GPL-2.0
/* What is done with the packets of a clone target, and the devices of it. */
#include <linux/if_arp.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "nfkit.h"

struct nfkit_sinks *nfkit_sinks_alloc(unsigned int count)
{
	struct nfkit_sinks *sinks;
	unsigned int i;

	sinks = kzalloc(struct_size(sinks, outputs, count), GFP_KERNEL_ACCOUNT);
	if (!sinks)
		return NULL;
	sinks->sample = 1;
	sinks->count = count;
	for (i = 0; i < count; i++) {
		sinks->outputs[i].counters = nfkit_counters_alloc();
		if (!sinks->outputs[i].counters) {
			nfkit_sinks_free(sinks);
			return NULL;
		}
	}
	return sinks;
}

void nfkit_sinks_free(struct nfkit_sinks *sinks)
{
	unsigned int i;

	if (!sinks)
		return;
	for (i = 0; i < sinks->count; i++) {
		if (!sinks->outputs[i].handed_on)
			free_percpu(sinks->outputs[i].counters);
	}
	kfree(sinks);
}

/* Outputs for names of devices with commas between them. */
struct nfkit_sinks *nfkit_sinks_parse(const char *devices)
{
	char names[NFKIT_MAX_OUTPUTS][IFNAMSIZ] = {};
	struct nfkit_sinks *sinks;
	unsigned int count = 0;
	unsigned int i;
	size_t length;

	for (;; devices++) {
		length = strcspn(devices, ",");
		if (count == NFKIT_MAX_OUTPUTS || length >= IFNAMSIZ)
			return ERR_PTR(-EINVAL);
		memcpy(names[count], devices, length);
		if (!dev_valid_name(names[count]))
			return ERR_PTR(-EINVAL);
		for (i = 0; i < count; i++) {
			if (!strcmp(names[i], names[count]))
				return ERR_PTR(-EINVAL);
		}
		count++;
		devices += length;
		if (!*devices)
			break;
	}
	sinks = nfkit_sinks_alloc(count);
	if (!sinks)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < count; i++)
		memcpy(sinks->outputs[i].config.device, names[i], IFNAMSIZ);
	return sinks;
}

/* Frames can be sent by it. */
static bool nfkit_is_ethernet(const struct net_device *dev)
{
	return dev->type == ARPHRD_ETHER;
}

/*
 * With nn->lock held until the target has the sinks: a device that is listed
 * later, or goes, is told to nfkit_sinks_device(), which waits for the lock.
 */
void nfkit_sinks_attach(struct net *net, struct nfkit_target *target,
			struct nfkit_sinks *sinks, struct nfkit_sinks *old)
{
	unsigned int i, j;

	for (i = 0; i < sinks->count; i++) {
		struct nfkit_output *output = &sinks->outputs[i];
		struct net_device *dev;

		output->target = target;
		for (j = 0; old && j < old->count; j++) {
			if (strcmp(old->outputs[j].config.device,
				   output->config.device))
				continue;
			/* What waits for the old definition is counted too. */
			free_percpu(output->counters);
			output->counters = old->outputs[j].counters;
			old->outputs[j].handed_on = true;
		}
		rcu_read_lock();
		dev = dev_get_by_name_rcu(net, output->config.device);
		if (dev && nfkit_is_ethernet(dev))
			rcu_assign_pointer(output->dev, dev);
		rcu_read_unlock();
	}
}

static void nfkit_output_device(struct nfkit_output *output,
				struct net_device *dev, bool gone)
{
	if (!gone && nfkit_is_ethernet(dev) &&
	    !strcmp(output->config.device, dev->name))
		rcu_assign_pointer(output->dev, dev);
	else if (rcu_access_pointer(output->dev) == dev)
		RCU_INIT_POINTER(output->dev, NULL);
}

/*
 * A device has come, has another name, or goes: outputs have the device of
 * their name. Under RTNL; a device that goes lives on until a grace period
 * after this.
 */
void nfkit_sinks_device(struct nfkit_net *nn, struct net_device *dev, bool gone)
{
	struct nfkit_target *target;
	struct nfkit_sinks *sinks;
	unsigned int bucket, i;

	mutex_lock(&nn->lock);
	for (bucket = 0; bucket < ARRAY_SIZE(nn->targets); bucket++) {
		hlist_for_each_entry(target, &nn->targets[bucket], node) {
			sinks = rcu_dereference_protected(target->sinks,
							  lockdep_is_held(&nn->lock));
			for (i = 0; sinks && i < sinks->count; i++)
				nfkit_output_device(&sinks->outputs[i], dev, gone);
		}
	}
	mutex_unlock(&nn->lock);
}
