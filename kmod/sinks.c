// SPDX-License-Identifier: GPL-2.0
/* What is done with the packets of a clone target, and the devices of it. */
#include <linux/if_arp.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "target.h"

struct nfkit_sinks *nfkit_sinks_alloc(unsigned int count)
{
	struct nfkit_sinks *sinks;

	sinks = kzalloc(struct_size(sinks, outputs, count), GFP_KERNEL_ACCOUNT);
	if (!sinks)
		return NULL;
	sinks->sample = 1;
	sinks->count = count;
	sinks->reroute.reroute = true;
	spin_lock_init(&sinks->bucket.lock);
	return sinks;
}

/* For targets whose outputs have counters of their own. */
int nfkit_sinks_count_outputs(struct nfkit_sinks *sinks)
{
	unsigned int i;

	for (i = 0; i < sinks->count; i++) {
		sinks->outputs[i].counters = nfkit_counters_alloc();
		if (!sinks->outputs[i].counters)
			return -ENOMEM;
	}
	return 0;
}

static bool nfkit_output_is_direct(const struct nfkit_output *output,
				   const struct net_device *dev)
{
	return !(output->sinks->flags & NFKIT_TARGET_DEFER) &&
	       nfkit_layer2_direct(dev);
}

static void nfkit_output_set_device(struct nfkit_output *output,
				    struct net_device *dev)
{
	bool direct = dev && nfkit_output_is_direct(output, dev);
	struct net_device *old;

	rcu_assign_pointer(output->direct, direct ? dev : NULL);
	old = rcu_replace_pointer(output->dev, dev, true);
	/* Who has just read it is done before the device can be freed. */
	if (old)
		dev_put(old);
}

/* Nobody changes them any more, or nn->lock is held. */
void nfkit_sinks_detach(struct nfkit_sinks *sinks)
{
	unsigned int i;

	for (i = 0; i < sinks->count; i++)
		nfkit_output_set_device(&sinks->outputs[i], NULL);
}

void nfkit_sinks_free(struct nfkit_sinks *sinks)
{
	unsigned int i;

	if (!sinks)
		return;
	nfkit_sinks_detach(sinks);
	for (i = 0; i < sinks->count; i++) {
		if (!sinks->outputs[i].handed_on)
			free_percpu(sinks->outputs[i].counters);
	}
	kfree(sinks);
}

/* The counters of an output go on in the next definition. */
static void nfkit_output_take_counters(struct nfkit_output *output,
				       struct nfkit_sinks *old)
{
	unsigned int i;

	for (i = 0; i < old->count; i++) {
		if (strcmp(old->outputs[i].config.device, output->config.device))
			continue;
		free_percpu(output->counters);
		output->counters = old->outputs[i].counters;
		old->outputs[i].handed_on = true;
	}
}

static bool nfkit_output_has(const struct nfkit_output *output,
			     const struct net_device *dev)
{
	return dev->type == ARPHRD_ETHER &&
	       !strcmp(output->config.device, dev->name);
}

/* Whether a copy can leave, or be captured. */
static bool nfkit_sinks_work(const struct nfkit_sinks *sinks)
{
	unsigned int i;

	if (sinks->flags & (NFKIT_TARGET_REROUTE | NFKIT_TARGET_CAPTURE))
		return true;
	for (i = 0; i < sinks->count; i++) {
		if (rcu_access_pointer(sinks->outputs[i].dev))
			return true;
	}
	return false;
}

/*
 * With nn->lock held until the target has the sinks: a device that is listed
 * later, or goes, is told to nfkit_sinks_match_device(), which waits for it.
 */
void nfkit_sinks_attach(struct net *net, struct nfkit_target *target,
			struct nfkit_sinks *sinks)
{
	struct nfkit_sinks *old = nfkit_target_sinks(target);
	unsigned int i;

	sinks->reroute.target = target;
	sinks->reroute.sinks = sinks;
	sinks->bucket.credit = (u64)sinks->burst * NSEC_PER_SEC;
	sinks->bucket.at = ktime_get_ns();
	sinks->plain = sinks->count == 1 && !sinks->outputs[0].config.flags &&
		       !sinks->snaplen && sinks->sample <= 1 && !sinks->rate &&
		       !(sinks->flags &
			 (NFKIT_TARGET_REROUTE | NFKIT_TARGET_CAPTURE));
	for (i = 0; i < sinks->count; i++) {
		struct nfkit_output *output = &sinks->outputs[i];
		struct net_device *dev;

		output->target = target;
		output->sinks = sinks;
		output->edits = output->config.flags || sinks->snaplen;
		if (old)
			nfkit_output_take_counters(output, old);
		dev = dev_get_by_name(net, output->config.device);
		if (dev && !nfkit_output_has(output, dev)) {
			dev_put(dev);
			dev = NULL;
		}
		nfkit_output_set_device(output, dev);
	}
	rcu_assign_pointer(target->sinks, sinks);
	target->paused = !nfkit_sinks_work(sinks);
}

static void nfkit_output_event(const struct nfkit_output *output,
			       const struct net_device *dev,
			       enum nfkit_event event)
{
	const struct nfkit_target *target = output->target;

	if (target->key.kind == NFKIT_NAMED)
		nfkit_event(target->nn, event, target->key.name,
			    output->config.device, dev->ifindex);
}

static void nfkit_output_match_device(struct nfkit_output *output,
				      struct net_device *dev, bool there)
{
	bool ours = rcu_access_pointer(output->dev) == dev;
	bool fits = there && nfkit_output_has(output, dev);

	if (ours && !fits) {
		nfkit_output_set_device(output, NULL);
		nfkit_output_event(output, dev, NFKIT_EVENT_DEVICE_GONE);
	} else if (fits && !ours) {
		dev_hold(dev);
		nfkit_output_set_device(output, dev);
		nfkit_output_event(output, dev, NFKIT_EVENT_DEVICE_BACK);
	}
}

static void nfkit_target_match_device(struct nfkit_target *target,
				      struct net_device *dev, bool there)
{
	struct nfkit_sinks *sinks = nfkit_target_sinks(target);
	bool paused;
	unsigned int i;

	if (!sinks)
		return;
	for (i = 0; i < sinks->count; i++)
		nfkit_output_match_device(&sinks->outputs[i], dev, there);
	paused = !nfkit_sinks_work(sinks);
	if (paused != target->paused && target->key.kind == NFKIT_NAMED)
		nfkit_event(target->nn, paused ? NFKIT_EVENT_TARGET_PAUSED :
						 NFKIT_EVENT_TARGET_RESUMED,
			    target->key.name, "", 0);
	target->paused = paused;
}

/* A device came, goes, or is another than before. With the RTNL held. */
void nfkit_sinks_match_device(struct net_device *dev, bool there)
{
	struct nfkit_net *nn = nfkit_net(dev_net(dev));
	struct nfkit_target *target;
	unsigned int bucket;

	mutex_lock(&nn->lock);
	for (bucket = 0; bucket < ARRAY_SIZE(nn->targets); bucket++) {
		hlist_for_each_entry(target, &nn->targets[bucket], node)
			nfkit_target_match_device(target, dev, there);
	}
	mutex_unlock(&nn->lock);
}
