// SPDX-License-Identifier: GPL-2.0
/*
 * The route of a copy, looked up by its mark as for a packet of this box, and
 * whether the copy fits on its way.
 */
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <net/dst.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/route.h>

#include "compat.h"
#include "route.h"

/*
 * Multicast and broadcast packets of others are looked up without their
 * source, which the kernel takes for the address of a device of this box.
 */
static struct dst_entry *nfkit_route4(struct net *net,
				      const struct sk_buff *skb, u32 mark)
{
	const struct iphdr *iph = ip_hdr(skb);
	struct flowi4 fl4 = {
		.flowi4_mark = mark,
		.flowi4_flags = FLOWI_FLAG_ANYSRC,
		.daddr = iph->daddr,
	};
	struct rtable *rt;

	nfkit_flow_tos(&fl4, iph);
	if (!ipv4_is_multicast(iph->daddr) && !ipv4_is_lbcast(iph->daddr) &&
	    !ipv4_is_multicast(iph->saddr) && !ipv4_is_lbcast(iph->saddr) &&
	    !ipv4_is_zeronet(iph->saddr))
		fl4.saddr = iph->saddr;
	rt = ip_route_output_key(net, &fl4);
	return IS_ERR(rt) ? ERR_CAST(rt) : &rt->dst;
}

static bool nfkit_is_local4(const struct dst_entry *dst)
{
	const struct rtable *rt = container_of(dst, struct rtable, dst);

	return rt->rt_type == RTN_LOCAL;
}

#if IS_ENABLED(CONFIG_IPV6)
static struct dst_entry *nfkit_route6(struct net *net,
				      const struct sk_buff *skb, u32 mark)
{
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	struct flowi6 fl6 = {
		.flowi6_mark = mark,
		.flowi6_flags = FLOWI_FLAG_ANYSRC,
		.flowlabel = ip6_flowinfo(ip6h),
		.daddr = ip6h->daddr,
		.saddr = ip6h->saddr,
	};

	return ip6_route_output(net, NULL, &fl6);
}

static bool nfkit_is_local6(const struct dst_entry *dst)
{
	const struct rt6_info *rt;

	rt = container_of(dst, struct rt6_info, dst);
	return rt->rt6i_flags & (RTF_LOCAL | RTF_ANYCAST);
}
#else
static struct dst_entry *nfkit_route6(struct net *net,
				      const struct sk_buff *skb, u32 mark)
{
	return ERR_PTR(-EAFNOSUPPORT);
}

static bool nfkit_is_local6(const struct dst_entry *dst)
{
	return false;
}
#endif

/* The route of a packet with this mark, held; an error: there is none. */
struct dst_entry *nfkit_route(struct net *net, const struct sk_buff *skb,
			      u32 mark, u8 pf)
{
	struct dst_entry *dst;

	dst = pf == NFPROTO_IPV4 ? nfkit_route4(net, skb, mark) :
				   nfkit_route6(net, skb, mark);
	if (!IS_ERR(dst) &&
	    (dst->error || dst->lwtstate || !dst->ops->neigh_lookup)) {
		dst_release(dst);
		return ERR_PTR(-EHOSTUNREACH);
	}
	return dst;
}

/* Whether it leads to this box. */
bool nfkit_route_is_local(const struct dst_entry *dst, u8 pf)
{
	if (dst->dev->flags & IFF_LOOPBACK)
		return true;
	return pf == NFPROTO_IPV4 ? nfkit_is_local4(dst) : nfkit_is_local6(dst);
}

/*
 * Fragments that were put together are sent as fragments again. Whatever the
 * kernel would answer with an ICMP message does not fit.
 */
static enum nfkit_fit nfkit_fit4(const struct sk_buff *skb, unsigned int mtu)
{
	unsigned int frag_max_size = IPCB(skb)->frag_max_size;

	if (skb->len <= mtu && !frag_max_size)
		return NFKIT_FITS;
	/* Older kernels make fragments without data then, and no end of them. */
	if (min_not_zero(frag_max_size, mtu) < ip_hdrlen(skb) + 8)
		return NFKIT_DOES_NOT_FIT;
	if (!(ip_hdr(skb)->frag_off & htons(IP_DF)))
		return NFKIT_FITS_IN_FRAGMENTS;
	if (frag_max_size && frag_max_size <= mtu)
		return NFKIT_FITS_IN_FRAGMENTS;
	return NFKIT_DOES_NOT_FIT;
}

#if IS_ENABLED(CONFIG_IPV6)
static enum nfkit_fit nfkit_fit6(struct sk_buff *skb, unsigned int mtu)
{
	unsigned int frag_max_size = IP6CB(skb)->frag_max_size;
	u8 *nexthdr;
	int hlen;

	if (skb->len <= mtu && !frag_max_size)
		return NFKIT_FITS;
	if (!skb->ignore_df || frag_max_size > mtu)
		return NFKIT_DOES_NOT_FIT;
	/* Each fragment repeats the headers before it, and has 8 bytes of its own. */
	hlen = ip6_find_1stfragopt(skb, &nexthdr);
	if (hlen < 0)
		return NFKIT_DOES_NOT_FIT;
	if (frag_max_size)
		mtu = max_t(unsigned int, frag_max_size, IPV6_MIN_MTU);
	if (mtu < hlen + sizeof(struct frag_hdr) + 8)
		return NFKIT_DOES_NOT_FIT;
	return NFKIT_FITS_IN_FRAGMENTS;
}
#else
static enum nfkit_fit nfkit_fit6(struct sk_buff *skb, unsigned int mtu)
{
	return NFKIT_DOES_NOT_FIT;
}
#endif

enum nfkit_fit nfkit_fit(struct sk_buff *skb, const struct dst_entry *dst,
			 u8 pf)
{
	unsigned int mtu = dst_mtu(dst);

	if (skb_is_gso(skb))
		return skb_shinfo(skb)->gso_type &&
		       skb_gso_validate_network_len(skb, mtu) ?
			NFKIT_FITS : NFKIT_DOES_NOT_FIT;
	return pf == NFPROTO_IPV4 ? nfkit_fit4(skb, mtu) : nfkit_fit6(skb, mtu);
}
