/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the module know of one another. */
#ifndef NFKIT_H
#define NFKIT_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <linux/types.h>
#include <linux/u64_stats_sync.h>
#include <net/net_namespace.h>

#include "uapi/nfkit.h"
#include "uapi/xt_CLONE.h"

struct ctl_table;
struct ctl_table_header;
struct seq_file;

struct nfkit_file;

/*
 * What happened to packets. A packet that was seen was either cloned or
 * not, for the first of the reasons, by each of the target's sinks; a clone was
 * either sent or not, for one of the later ones, or is still queued. The names
 * are in counters.c.
 */
enum nfkit_counter {
	NFKIT_SEEN,
	NFKIT_CLONED,
	NFKIT_SENT,
	/* not cloned, by no sink */
	NFKIT_NO_TARGET,	/* the target is not defined */
	NFKIT_SAMPLED_OUT,
	/* not cloned */
	NFKIT_NO_ROUTE,		/* no route yet where the packet was met */
	NFKIT_LOOP,		/* made by sending a copy */
	NFKIT_UNROUTABLE,	/* no route for the copy */
	NFKIT_LOCAL,		/* its route leads back to this box */
	NFKIT_SAME_DEVICE,	/* its route is the original's device */
	NFKIT_TOO_BIG,		/* more than the route's MTU, and DF set */
	NFKIT_QUEUE_FULL,
	NFKIT_NO_MEMORY,
	NFKIT_NO_HEADER,	/* no Ethernet header where the packet was met */
	/* cloned, but not sent */
	NFKIT_UNRESOLVED,	/* the neighbour's address is not known yet */
	NFKIT_DEVICE_DOWN,	/* down, without carrier, or gone */
	NFKIT_REFUSED,		/* by the device or its queueing discipline */
	NFKIT_FLUSHED,		/* queued when device or rule went away */
	/* of what was sent to outputs */
	NFKIT_BYTES,
	NFKIT_COUNTERS
};

struct nfkit_counters {
	u64_stats_t value[NFKIT_COUNTERS];
	struct u64_stats_sync syncp;
};

/**
 * struct nfkit_net - what the module keeps for a network namespace
 * @lock: see there
 * @targets: clone targets by what rules call them
 * @defined: how many of them programs have defined
 * @files: open descriptors, see device.c
 * @queued: how many of its copies each CPU has queued; written under the
 *	lock of that CPU's queue
 * @queue_limit: how many each CPU may queue
 */
struct nfkit_net {
	/* @targets, the users of each and what is defined; within RTNL */
	struct mutex lock;
	struct hlist_head targets[64];
	unsigned int defined;
	struct list_head files;
	unsigned int __percpu *queued;
	unsigned int queue_limit;
	struct ctl_table *sysctl_table;
	struct ctl_table_header *sysctl;
};

/**
 * struct nfkit_output - a device that copies leave by, as frames
 * @dev: NULL while there is none of that name that is Ethernet; not held, but
 *	taken away before it goes
 * @target: whose it is
 * @counters: as nfkit_target.counters
 * @handed_on: the next definition has the counters
 * @config: as it was set
 */
struct nfkit_output {
	struct net_device __rcu *dev;
	struct nfkit_target *target;
	struct nfkit_counters __percpu *counters;
	bool handed_on;
	struct nfkit_output_config config;
};

/**
 * struct nfkit_sinks - what is done with the packets of a target
 * @reroute: a copy is routed by @mark
 * @random: packets are sampled by chance
 * @mark: see @reroute
 * @sample: one packet in so many, at least 1
 * @count: how many outputs there are
 * @outputs: each gets a copy
 */
struct nfkit_sinks {
	bool reroute;
	bool random;
	u32 mark;
	u32 sample;
	unsigned int count;
	struct nfkit_output outputs[];
};

/**
 * struct nfkit_target - where copies go
 * @node: in nfkit_net.targets, under RCU
 * @nn: its namespace
 * @rules: how many name it, under nfkit_net.lock
 * @defined: a program has defined it; the same
 * @owner: the descriptor that it goes with; NULL if it goes with none
 * @kind: XT_CLONE_*
 * @mark: what rules call it, if it is a mark
 * @name: what they call it otherwise
 * @sinks: NULL while a target by name is not defined
 * @packets: counts for sampling
 * @counters: for each CPU, written with softirqs disabled
 */
struct nfkit_target {
	struct hlist_node node;
	struct nfkit_net *nn;
	unsigned int rules;
	bool defined;
	const struct nfkit_file *owner;
	u32 kind;
	u32 mark;
	char name[XT_CLONE_NAME_SIZE];
	struct nfkit_sinks __rcu *sinks;
	atomic64_t packets;
	struct nfkit_counters __percpu *counters;
	struct rcu_head rcu;
};

/* main.c */
struct nfkit_net *nfkit_net(const struct net *net);

/* target.c */
struct nfkit_target *nfkit_target_get(struct net *net, u32 kind, u32 mark,
				      const char *name);
void nfkit_target_put(struct nfkit_target *target);
struct nfkit_target *nfkit_target_find(struct nfkit_net *nn, u32 mark);
struct nfkit_target *nfkit_target_named(struct nfkit_net *nn, const char *name);
u32 nfkit_target_name_all(struct nfkit_net *nn, char *names, u32 room);
int nfkit_target_define(struct net *net, const struct nfkit_file *file,
			const char *name, u32 flags, struct nfkit_sinks *sinks);
int nfkit_target_delete(struct nfkit_net *nn, const struct nfkit_file *file,
			const char *name);
void nfkit_target_delete_all(struct nfkit_net *nn,
			     const struct nfkit_file *file);

/* sinks.c */
struct nfkit_sinks *nfkit_sinks_alloc(unsigned int count);
struct nfkit_sinks *nfkit_sinks_parse(const char *devices);
void nfkit_sinks_free(struct nfkit_sinks *sinks);
void nfkit_sinks_attach(struct net *net, struct nfkit_target *target,
			struct nfkit_sinks *sinks, struct nfkit_sinks *old);
void nfkit_sinks_device(struct nfkit_net *nn, struct net_device *dev,
			bool gone);

/* clone.c */
void nfkit_clone(struct nfkit_target *target, struct sk_buff *skb,
		 const struct nf_hook_state *state);

/* devices.c */
void nfkit_devices(struct nfkit_sinks *sinks, struct sk_buff *skb,
		   const struct nf_hook_state *state);
enum nfkit_counter nfkit_devices_send(struct nfkit_output *output,
				      struct sk_buff *skb);

/* device.c */
bool nfkit_target_name_valid(const char *name);
int nfkit_device_init(void);
void nfkit_device_exit(void);
void nfkit_device_exit_net(struct nfkit_net *nn);

/* counters.c */
struct nfkit_counters __percpu *nfkit_counters_alloc(void);
void nfkit_counters_stats(const struct nfkit_counters __percpu *counters,
			  struct nfkit_stats *stats);
int nfkit_counters_init_net(struct net *net);
void nfkit_counters_exit_net(struct net *net);

/* With softirqs disabled. */
static inline void nfkit_count_in(struct nfkit_counters __percpu *percpu,
				  enum nfkit_counter counter,
				  unsigned long add)
{
	struct nfkit_counters *counters = this_cpu_ptr(percpu);

	u64_stats_update_begin(&counters->syncp);
	u64_stats_add(&counters->value[counter], add);
	u64_stats_update_end(&counters->syncp);
}

static inline void nfkit_count(struct nfkit_target *target,
			       enum nfkit_counter counter)
{
	nfkit_count_in(target->counters, counter, 1);
}

static inline void nfkit_count_output(struct nfkit_output *output,
				      enum nfkit_counter counter)
{
	nfkit_count_in(output->counters, counter, 1);
	nfkit_count_in(output->target->counters, counter, 1);
}

/* sysctl.c */
int nfkit_sysctl_init_net(struct net *net);
void nfkit_sysctl_exit_net(struct net *net);

/* queue.c */
int nfkit_queue_init(void);
void nfkit_queue_exit(void);
bool nfkit_queue_full(const struct nfkit_net *nn);
void nfkit_queue_add(struct nfkit_target *target, struct nfkit_output *output,
		     struct sk_buff *skb);
bool nfkit_queue_sending(void);
void nfkit_queue_flush_target(const struct nfkit_target *target);
void nfkit_queue_flush_sinks(const struct nfkit_sinks *sinks);
void nfkit_queue_flush_net(const struct nfkit_net *nn);
void nfkit_queue_flush_device(const struct net_device *dev);

/* reroute.c */
void nfkit_reroute(struct nfkit_target *target, u32 mark, struct sk_buff *skb,
		   const struct nf_hook_state *state);
enum nfkit_counter nfkit_reroute_send(struct sk_buff *skb);

/* xt_clone.c */
int nfkit_xt_init(void);
void nfkit_xt_exit(void);

#endif /* NFKIT_H */
