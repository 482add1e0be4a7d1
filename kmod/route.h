/* SPDX-License-Identifier: GPL-2.0 */
/* The route of a copy, see route.c. */
#ifndef NFKIT_ROUTE_H
#define NFKIT_ROUTE_H

#include <linux/skbuff.h>
#include <linux/types.h>

struct dst_entry;
struct net;

enum nfkit_fit {
	NFKIT_FITS,
	NFKIT_FITS_IN_FRAGMENTS,
	NFKIT_DOES_NOT_FIT,
};

struct dst_entry *nfkit_route(struct net *net, const struct sk_buff *skb,
			      u32 mark, u8 pf);
bool nfkit_route_is_local(const struct dst_entry *dst, u8 pf);
enum nfkit_fit nfkit_fit(struct sk_buff *skb, const struct dst_entry *dst,
			 u8 pf);

#endif /* NFKIT_ROUTE_H */
