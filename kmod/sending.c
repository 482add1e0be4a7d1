// SPDX-License-Identifier: GPL-2.0
/* Whether this CPU sends a copy, and whether a device could. */
#include "sending.h"

DEFINE_PER_CPU(unsigned int, nfkit_sending);

static int nfkit_is_changing(struct net_device *dev, struct netdev_nested_priv *priv)
{
	return qdisc_tx_changing(dev);
}

bool nfkit_went_down(struct net_device *dev)
{
	struct netdev_nested_priv priv = {};

	return qdisc_tx_changing(dev) ||
	       netdev_walk_all_lower_dev_rcu(dev, nfkit_is_changing, &priv);
}
