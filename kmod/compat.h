/* SPDX-License-Identifier: GPL-2.0 */
/* The differences between kernels, by what compat/probe.sh found. */
#ifndef NFKIT_COMPAT_H
#define NFKIT_COMPAT_H

#include <linux/filter.h>
#include <linux/hrtimer.h>
#include <linux/netdevice.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv6.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/skbuff.h>
#include <linux/sysctl.h>
#include <net/flow.h>
#include <net/inet_ecn.h>
#include <net/ip.h>
#include <net/ip6_route.h>

#include "nfkit_compat.h"

#ifdef HAVE_NET_GSO_H
#include <net/gso.h>
#endif

#ifndef HAVE_SKB_CLEAR_TSTAMP
static inline void skb_clear_tstamp(struct sk_buff *skb)
{
	skb->tstamp = 0;
}
#endif

#ifndef HAVE_ALLOC_NETDEV_DUMMY
static inline struct net_device *alloc_netdev_dummy(int sizeof_priv)
{
	struct net_device *dev;

	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (dev)
		init_dummy_netdev(dev);
	return dev;
}

static inline void nfkit_free_netdev_dummy(struct net_device *dev)
{
	kfree(dev);
}
#else
static inline void nfkit_free_netdev_dummy(struct net_device *dev)
{
	free_netdev(dev);
}
#endif

/* How much of a packet a CPU can read: not what is in the memory of a device. */
static inline unsigned int nfkit_readable(const struct sk_buff *skb)
{
#ifdef HAVE_SKB_FRAGS_READABLE
	if (!skb_frags_readable(skb))
		return skb_headlen(skb);
#endif
	return skb->len;
}

/* With softirqs disabled, so that it stays on this CPU. */
static inline u32 nfkit_bpf_run(const struct bpf_prog *program,
				const struct sk_buff *skb)
{
#ifdef HAVE_BPF_PROG_RUN
	return bpf_prog_run(program, skb);
#else
	return BPF_PROG_RUN(program, skb);
#endif
}

static inline void nfkit_napi_add(struct net_device *dev,
				  struct napi_struct *napi,
				  int (*poll)(struct napi_struct *, int))
{
#ifdef HAVE_NAPI_ADD_WEIGHT
	netif_napi_add_weight(dev, napi, poll, NAPI_POLL_WEIGHT);
#else
	netif_napi_add(dev, napi, poll, NAPI_POLL_WEIGHT);
#endif
}

static inline void
nfkit_hrtimer_setup(struct hrtimer *timer,
		    enum hrtimer_restart (*function)(struct hrtimer *timer),
		    clockid_t clock, enum hrtimer_mode mode)
{
#ifdef HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, function, clock, mode);
#else
	hrtimer_init(timer, clock, mode);
	timer->function = function;
#endif
}

/* The table ends with an empty entry, which the newer call does not count. */
static inline struct ctl_table_header *
nfkit_register_sysctl(struct net *net, const char *path,
		      struct ctl_table *table, size_t size)
{
#ifdef HAVE_SYSCTL_SZ
	return register_net_sysctl_sz(net, path, table, size);
#else
	return register_net_sysctl(net, path, table);
#endif
}

static inline void nfkit_flow_tos(struct flowi4 *fl4, const struct iphdr *iph)
{
#ifdef HAVE_FLOWI4_DSCP
	fl4->flowi4_dscp = ip4h_dscp(iph);
#else
	fl4->flowi4_tos = iph->tos & ~INET_ECN_MASK;
#endif
}

/* Under RCU. */
static inline int
nfkit_ip6_fragment(struct net *net, struct sk_buff *skb,
		   int (*output)(struct net *, struct sock *, struct sk_buff *))
{
#if defined(HAVE_NF_IPV6_OPS)
	const struct nf_ipv6_ops *ops = nf_get_ipv6_ops();

	if (ops)
		return ops->fragment(net, NULL, skb, output);
#elif IS_ENABLED(CONFIG_IPV6)
	return ip6_fragment(net, NULL, skb, output);
#endif
	kfree_skb(skb);
	return -EAFNOSUPPORT;
}

/* The ports of a bridge that br_netfilter remembers; 0: none. */
static inline int nfkit_physin(const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
	return nf_bridge_get_physinif(skb);
#else
	return 0;
#endif
}

static inline int nfkit_physout(const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
	return nf_bridge_get_physoutif(skb);
#else
	return 0;
#endif
}

/*
 * What x_tables asks when it is met in the midst of a rule that sends a packet:
 * then it has another stack for its chains, one and no more (see xt_TEE).
 */
static inline bool nfkit_is_duplicating(void)
{
#ifdef HAVE_NF_SKB_DUPLICATED
	return __this_cpu_read(nf_skb_duplicated);
#else
	return current->in_nf_duplicate;
#endif
}

static inline void nfkit_set_duplicating(bool on)
{
#ifdef HAVE_NF_SKB_DUPLICATED
	__this_cpu_write(nf_skb_duplicated, on);
#else
	current->in_nf_duplicate = on;
#endif
}

#endif /* NFKIT_COMPAT_H */
