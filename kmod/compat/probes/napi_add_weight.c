// SPDX-License-Identifier: GPL-2.0
// Since 5.19 under this name; before, netif_napi_add took the weight.
// absent: implicit declaration of function .netif_napi_add_weight
#include <linux/netdevice.h>

void probe(struct net_device *dev, struct napi_struct *napi,
	   int (*poll)(struct napi_struct *, int));
void probe(struct net_device *dev, struct napi_struct *napi,
	   int (*poll)(struct napi_struct *, int))
{
	netif_napi_add_weight(dev, napi, poll, NAPI_POLL_WEIGHT);
}
