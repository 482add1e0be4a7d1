/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the module know of one another. */
#ifndef NFKIT_H
#define NFKIT_H

#include <linux/if.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <linux/types.h>
#include <linux/u64_stats_sync.h>
#include <net/net_namespace.h>

struct ctl_table;
struct ctl_table_header;
struct seq_file;

/*
 * What happened to packets. A packet that was seen was either cloned or
 * not, for the first of the reasons; a clone was either sent or not, for one
 * of the later ones, or is still queued. The names are in counters.c.
 */
enum nfkit_counter {
	NFKIT_SEEN,
	NFKIT_CLONED,
	NFKIT_SENT,
	/* not cloned */
	NFKIT_NO_ROUTE,		/* no route yet where the packet was met */
	NFKIT_LOOP,		/* made by sending a copy */
	NFKIT_NO_DEVICE,	/* there is no such device, or it has no Ethernet */
	NFKIT_UNROUTABLE,	/* no route for the copy */
	NFKIT_LOCAL,		/* its route leads back to this box */
	NFKIT_SAME_DEVICE,	/* it would leave by the original's device */
	NFKIT_TOO_BIG,		/* more than the MTU, and not to be fragmented */
	NFKIT_QUEUE_FULL,
	NFKIT_NO_MEMORY,
	/* cloned, but not sent */
	NFKIT_UNRESOLVED,	/* the neighbour's address is not known yet */
	NFKIT_DEVICE_DOWN,	/* down, without carrier, or gone */
	NFKIT_REFUSED,		/* by the device or its queueing discipline */
	NFKIT_FLUSHED,		/* queued when device or rule went away */
	NFKIT_COUNTERS
};

struct nfkit_counters {
	u64_stats_t value[NFKIT_COUNTERS];
	struct u64_stats_sync syncp;
};

/**
 * struct nfkit_net - what the module keeps for a network namespace
 * @lock: see there
 * @targets: clone targets by what they are for
 * @queued: how many of its copies each CPU has queued; written under the
 *	lock of that CPU's queue
 * @queue_limit: how many each CPU may queue
 * @ready: @lock can be taken
 */
struct nfkit_net {
	/* @targets and the users of each */
	struct mutex lock;
	struct hlist_head targets[64];
	unsigned int __percpu *queued;
	unsigned int queue_limit;
	bool ready;
	struct ctl_table *sysctl_table;
	struct ctl_table_header *sysctl;
};

enum nfkit_kind {
	NFKIT_MARK,
	NFKIT_DEVICE,
};

/**
 * struct nfkit_key - what a target is for
 * @kind: which of the others counts
 * @mark: the mark of its copies, by which they are routed
 * @device: the name of the device that they leave by
 */
struct nfkit_key {
	enum nfkit_kind kind;
	u32 mark;
	char device[IFNAMSIZ];
};

/**
 * struct nfkit_target - where copies go
 * @node: in nfkit_net.targets, under RCU
 * @nn: its namespace
 * @users: rules that name it, under nfkit_net.lock
 * @key: what it is for
 * @dev: the device of that name, held; NULL while there is none. Changed
 *	under nfkit_net.lock, read under RCU
 * @counters: for each CPU, written with softirqs disabled
 */
struct nfkit_target {
	struct hlist_node node;
	struct nfkit_net *nn;
	unsigned int users;
	struct nfkit_key key;
	struct net_device __rcu *dev;
	struct nfkit_counters __percpu *counters;
	struct rcu_head rcu;
};

/* main.c */
struct nfkit_net *nfkit_net(const struct net *net);

/* target.c */
struct nfkit_target *nfkit_target_get(struct net *net,
				      const struct nfkit_key *key);
void nfkit_target_put(struct nfkit_target *target);
struct nfkit_target *nfkit_target_of_mark(struct nfkit_net *nn, u32 mark);
void nfkit_target_device_event(struct net_device *dev, unsigned long event);

/* counters.c */
int nfkit_counters_init_net(struct net *net);
void nfkit_counters_exit_net(struct net *net);

/* With softirqs disabled. */
static inline void nfkit_count(struct nfkit_target *target,
			       enum nfkit_counter counter)
{
	struct nfkit_counters *counters = this_cpu_ptr(target->counters);

	u64_stats_update_begin(&counters->syncp);
	u64_stats_inc(&counters->value[counter]);
	u64_stats_update_end(&counters->syncp);
}

/* sysctl.c */
int nfkit_sysctl_init_net(struct net *net);
void nfkit_sysctl_exit_net(struct net *net);

/* queue.c */
int nfkit_queue_init(void);
void nfkit_queue_exit(void);
bool nfkit_queue_full(const struct nfkit_net *nn);
void nfkit_queue_add(struct nfkit_target *target, struct sk_buff *skb);
bool nfkit_queue_sending(void);
void nfkit_queue_flush_target(const struct nfkit_target *target);
void nfkit_queue_flush_net(const struct nfkit_net *nn);
void nfkit_queue_flush_device(const struct net_device *dev);

/* reroute.c */
void nfkit_reroute(struct nfkit_target *target, struct sk_buff *skb,
		   const struct nf_hook_state *state);
enum nfkit_counter nfkit_reroute_send(struct sk_buff *skb);

/* layer2.c */
void nfkit_layer2(struct nfkit_target *target, struct sk_buff *skb,
		  const struct nf_hook_state *state);
enum nfkit_counter nfkit_layer2_send(struct sk_buff *skb);

/* xt_clone.c */
int nfkit_xt_init(void);
void nfkit_xt_exit(void);

#endif /* NFKIT_H */
