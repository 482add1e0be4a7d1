// SPDX-License-Identifier: GPL-2.0
/*
 * Where the kernel calls a hook, and the devices that it names, as they come
 * and go. All with nfkit_net.lock held.
 */
#include <linux/err.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <net/net_namespace.h>

#include "hook.h"

static bool nfkit_hook_place_of_device(const struct nfkit_hook_place *place)
{
	return place->ops[0].pf == NFPROTO_NETDEV;
}

/* Nothing is registered, or all of it. */
static int nfkit_hook_place_enter(struct net *net,
				  struct nfkit_hook_place *place)
{
	int err = nf_register_net_hooks(net, place->ops, place->count);

	place->registered = !err;
	/* So many hooks has the point. */
	return err == -E2BIG ? -ENOSPC : err;
}

/* Packets may still be in it until a grace period is over. */
void nfkit_hook_place_leave(struct net *net, struct nfkit_hook_place *place)
{
	if (!place->registered)
		return;
	place->registered = false;
	nf_unregister_net_hooks(net, place->ops, place->count);
}

static void nfkit_hook_place_add(struct nfkit_hook_place *place, u8 pf,
				 const struct nfkit_hook_set *set)
{
	struct nf_hook_ops *ops = &place->ops[place->count++];

	ops->hook = nfkit_hook_packet;
	ops->priv = place;
	ops->pf = pf;
	ops->hooknum = nfkit_point_row(set->point)->hook;
	ops->priority = set->priority;
}

/* The device that a point of a device needs; without it there are no packets. */
static const char *nfkit_hook_place_name(const struct nfkit_hook_set *set)
{
	return set->point == NFKIT_POINT_INGRESS ? set->in : set->out;
}

static int nfkit_hook_place_enter_device(struct net *net,
					 struct nfkit_hook_place *place,
					 const char *name)
{
	struct net_device *dev = dev_get_by_name(net, name);
	int err = 0;

	if (!dev)
		return 0;
	/* That it goes away is told later: with the lock held. */
	if (!strcmp(dev->name, name)) {
		place->ops[0].dev = dev;
		err = nfkit_hook_place_enter(net, place);
	}
	dev_put(dev);
	return err;
}

struct nfkit_hook_place *
nfkit_hook_place_new(struct net *net, struct nfkit_hook_definition *definition)
{
	const struct nfkit_hook_set *set = &definition->config;
	u8 pf = nfkit_point_row(set->point)->pf;
	struct nfkit_hook_place *place;
	int err;

	place = kzalloc(sizeof(*place), GFP_KERNEL_ACCOUNT);
	if (!place)
		return ERR_PTR(-ENOMEM);
	RCU_INIT_POINTER(place->definition, definition);
	if (pf != NFPROTO_UNSPEC)
		nfkit_hook_place_add(place, pf, set);
	if (set->family & NFKIT_FAMILY_IPV4)
		nfkit_hook_place_add(place, NFPROTO_IPV4, set);
	if (set->family & NFKIT_FAMILY_IPV6)
		nfkit_hook_place_add(place, NFPROTO_IPV6, set);

	if (nfkit_hook_place_of_device(place))
		err = nfkit_hook_place_enter_device(net, place,
						    nfkit_hook_place_name(set));
	else
		err = nfkit_hook_place_enter(net, place);
	if (err) {
		/* One of two families may have been there for a moment. */
		synchronize_rcu_expedited();
		kfree(place);
		return ERR_PTR(err);
	}
	return place;
}

/* Whether both are called at the same place. */
bool nfkit_hook_place_fits(const struct nfkit_hook_set *a,
			   const struct nfkit_hook_set *b)
{
	if (a->point != b->point || a->family != b->family ||
	    a->priority != b->priority)
		return false;
	return nfkit_point_row(a->point)->pf != NFPROTO_NETDEV ||
	       !strcmp(nfkit_hook_place_name(a), nfkit_hook_place_name(b));
}

/* Before the first packet, and before events: they wait for the lock. */
void nfkit_hook_find_devices(struct net *net,
			     struct nfkit_hook_definition *definition)
{
	const struct nfkit_hook_set *set = &definition->config;
	unsigned int which;

	rcu_read_lock();
	for (which = 0; which < NFKIT_HOOK_DEVICES; which++) {
		const char *name;
		const struct net_device *dev;

		name = nfkit_hook_device_name(set, which);
		if (!*name)
			continue;
		/* Where packets of one device come from, none other has to be told apart. */
		if (nfkit_point_row(set->point)->pf != NFPROTO_NETDEV ||
		    name != nfkit_hook_place_name(set))
			definition->devices = true;
		dev = dev_get_by_name_rcu(net, name);
		definition->ifindex[which] =
			dev && !strcmp(dev->name, name) ? dev->ifindex :
							  NFKIT_HOOK_NOWHERE;
	}
	rcu_read_unlock();
}

static bool nfkit_hook_is_device(const struct net_device *dev, bool there,
				 const char *name)
{
	return there && !strcmp(dev->name, name);
}

/* With the RTNL held: a device came, went, or has another name. */
void nfkit_hook_place_device(struct net_device *dev, bool there,
			     struct nfkit_hook_place *place,
			     struct nfkit_hook_definition *definition)
{
	bool ours, fits;
	const char *name;
	unsigned int which;
	int err;

	for (which = 0; which < NFKIT_HOOK_DEVICES; which++) {
		name = nfkit_hook_device_name(&definition->config, which);
		if (nfkit_hook_is_device(dev, there, name))
			WRITE_ONCE(definition->ifindex[which], dev->ifindex);
		else if (definition->ifindex[which] == dev->ifindex)
			WRITE_ONCE(definition->ifindex[which],
				   NFKIT_HOOK_NOWHERE);
	}

	if (!nfkit_hook_place_of_device(place))
		return;
	name = nfkit_hook_place_name(&definition->config);
	ours = place->registered && place->ops[0].dev == dev;
	fits = nfkit_hook_is_device(dev, there, name);
	if (ours && !fits) {
		nfkit_hook_place_leave(dev_net(dev), place);
	} else if (fits && !ours) {
		place->ops[0].dev = dev;
		err = nfkit_hook_place_enter(dev_net(dev), place);
		if (err)
			net_warn_ratelimited("nfkit: hook %s is not at %s: error %d\n",
					     definition->config.name, name, err);
	}
}
