/* SPDX-License-Identifier: GPL-2.0 */
/* Clone targets: who names them, where their copies go, what is counted. */
#ifndef NFKIT_TARGET_H
#define NFKIT_TARGET_H

#include <linux/if.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/u64_stats_sync.h>

#include "nfkit.h"

struct nfkit_sinks;

/*
 * What happened to packets, in the order of struct nfkit_stats, which says what
 * each means. The names are in counters.c.
 */
enum nfkit_counter {
	NFKIT_SEEN,
	NFKIT_CLONED,
	NFKIT_SENT,
	NFKIT_BYTES,
	NFKIT_QUEUED,
	/* not cloned, by no sink */
	NFKIT_NO_TARGET,
	NFKIT_SAMPLED_OUT,
	NFKIT_LIMITED,
	/* not cloned, by one sink */
	NFKIT_NO_ROUTE,
	NFKIT_LOOP,
	NFKIT_NO_DEVICE,
	NFKIT_UNROUTABLE,
	NFKIT_LOCAL,
	NFKIT_SAME_DEVICE,
	NFKIT_TOO_BIG,
	NFKIT_QUEUE_FULL,
	NFKIT_NO_MEMORY,
	NFKIT_NO_READER,
	NFKIT_BUFFER_FULL,
	/* cloned, but not sent */
	NFKIT_UNRESOLVED,
	NFKIT_DEVICE_DOWN,
	NFKIT_REFUSED,
	NFKIT_FLUSHED,
	NFKIT_DROPPED_OLDEST,
	NFKIT_COUNTERS
};

/**
 * struct nfkit_counters - those of one CPU
 * @value: but for NFKIT_QUEUED; written with softirqs disabled
 * @syncp: for @value
 * @queued: copies in the queue of this CPU; under that queue's lock
 */
struct nfkit_counters {
	u64_stats_t value[NFKIT_COUNTERS];
	struct u64_stats_sync syncp;
	unsigned int queued;
};

enum nfkit_kind {
	NFKIT_MARK,
	NFKIT_DEVICE,
	NFKIT_NAMED,
};

/**
 * struct nfkit_key - what a target is for
 * @kind: which of the others counts
 * @mark: the mark of its copies, by which they are routed
 * @device: the name of the device that they leave by
 * @name: what programs and rules call it
 */
struct nfkit_key {
	enum nfkit_kind kind;
	u32 mark;
	/* The longest first: initializers need not clear more than that. */
	union {
		char name[NFKIT_NAME_SIZE];
		char device[IFNAMSIZ];
	};
};

/* Who names a target. */
enum nfkit_user {
	NFKIT_USER_RULE,
	NFKIT_USER_HOOK,
	/* where packets have no route, so that there is no sink reroute */
	NFKIT_USER_HOOK_NO_ROUTE,
	NFKIT_USER_CAPTURE,
	/* the program that defined it */
	NFKIT_USER_DEFINITION,
	NFKIT_USERS
};

/**
 * struct nfkit_output - a way that copies leave by
 * @dev: the device of that name, held; NULL while there is none. Changed
 *	under nfkit_net.lock, read under RCU
 * @direct: @dev, if copies may and shall be sent by it at once
 * @target: whose it is
 * @sinks: the same
 * @counters: as nfkit_target.counters, which count too; NULL: only those
 * @handed_on: the next definition has the counters
 * @reroute: by a route instead of a device
 * @edits: its copies are not the frame as it is
 * @config: as it was set
 */
struct nfkit_output {
	struct net_device __rcu *dev;
	struct net_device __rcu *direct;
	struct nfkit_target *target;
	struct nfkit_sinks *sinks;
	struct nfkit_counters __percpu *counters;
	bool handed_on;
	bool reroute;
	bool edits;
	struct nfkit_output_config config;
};

/**
 * struct nfkit_bucket - packets that may be copied now, by a rate
 * @lock: see there
 * @credit: billionths of a packet
 * @at: nanoseconds, when @credit was that much
 */
struct nfkit_bucket {
	/* of the others */
	spinlock_t lock;
	u64 credit;
	u64 at;
};

/**
 * struct nfkit_sinks - what is done with the packets of a target
 * @next: after the same grace period
 * @flags: NFKIT_TARGET_*
 * @mark: as in struct nfkit_target_set, like the following
 * @sample: at least 1
 * @snaplen: 0: all
 * @rate: 0: no limit
 * @burst: 0 without a rate
 * @queue_limit: 0: none of its own
 * @met: packets, for sampling
 * @bucket: for @rate
 * @reroute: with NFKIT_TARGET_REROUTE
 * @plain: no sink but one output, which gets every packet as it is
 * @count: how many outputs there are
 * @outputs: each gets a copy
 */
struct nfkit_sinks {
	struct nfkit_sinks *next;
	u32 flags;
	u32 mark;
	u32 sample;
	u32 snaplen;
	u32 rate;
	u32 burst;
	u32 queue_limit;
	atomic64_t met;
	struct nfkit_bucket bucket;
	struct nfkit_output reroute;
	bool plain;
	unsigned int count;
	struct nfkit_output outputs[];
};

/**
 * struct nfkit_target - where copies go
 * @node: in nfkit_net.targets, under RCU
 * @nn: its namespace
 * @users: who names it, under nfkit_net.lock
 * @key: what it is for
 * @owner: the descriptor that its definition goes with; NULL: with none
 * @paused: it has no sink that works; under nfkit_net.lock
 * @sinks: NULL while no program has defined it
 * @counters: for each CPU
 * @waiting: copies in the queue of each CPU, under that queue's lock
 * @readers: who captures it, under RCU; capture.c
 */
struct nfkit_target {
	struct hlist_node node;
	struct nfkit_net *nn;
	unsigned int users[NFKIT_USERS];
	struct nfkit_key key;
	const struct nfkit_file *owner;
	bool paused;
	struct nfkit_sinks __rcu *sinks;
	struct nfkit_counters __percpu *counters;
	struct list_head __percpu *waiting;
	struct list_head readers;
	struct rcu_head rcu;
};

/* target.c */
struct nfkit_target *nfkit_target_get_for(struct net *net,
					  const struct nfkit_key *key,
					  enum nfkit_user user);
void nfkit_target_put_for(struct nfkit_target *target, enum nfkit_user user);
struct nfkit_target *nfkit_target_of_mark(struct nfkit_net *nn, u32 mark);
struct nfkit_target *nfkit_target_defined(struct nfkit_net *nn,
					  const char *name);

/* With nn->lock held. NULL: no program has defined it. */
static inline struct nfkit_sinks *
nfkit_target_sinks(const struct nfkit_target *target)
{
	return rcu_dereference_protected(target->sinks,
					 lockdep_is_held(&target->nn->lock));
}

/* define.c */
int nfkit_target_define(struct net *net, const struct nfkit_file *file,
			const char *name, struct nfkit_sinks *sinks);
int nfkit_target_undefine(struct nfkit_net *nn, const struct nfkit_file *file,
			  const char *name);

/* sinks.c */
struct nfkit_sinks *nfkit_sinks_alloc(unsigned int count);
int nfkit_sinks_count_outputs(struct nfkit_sinks *sinks);
void nfkit_sinks_free(struct nfkit_sinks *sinks);
void nfkit_sinks_attach(struct net *net, struct nfkit_target *target,
			struct nfkit_sinks *sinks);
void nfkit_sinks_detach(struct nfkit_sinks *sinks);

/* counters.c */
struct nfkit_counters __percpu *nfkit_counters_alloc(void);
void nfkit_counters_add(u64 *sum, const u64_stats_t *counted,
			unsigned int count, const struct u64_stats_sync *syncp);
void nfkit_counters_stats(const struct nfkit_counters __percpu *counters,
			  struct nfkit_stats *stats);
void nfkit_counters_output_stats(const struct nfkit_output *output,
				 struct nfkit_stats *stats);

/* With softirqs disabled, like all that follow; those of this CPU. */
static inline void nfkit_count_here(struct nfkit_counters *counters,
				    enum nfkit_counter counter,
				    unsigned long add)
{
	u64_stats_update_begin(&counters->syncp);
	u64_stats_add(&counters->value[counter], add);
	u64_stats_update_end(&counters->syncp);
}

static inline void nfkit_count_in(struct nfkit_counters __percpu *percpu,
				  enum nfkit_counter counter,
				  unsigned long add)
{
	nfkit_count_here(this_cpu_ptr(percpu), counter, add);
}

static inline void nfkit_count(struct nfkit_target *target,
			       enum nfkit_counter counter)
{
	nfkit_count_in(target->counters, counter, 1);
}

static inline void nfkit_count_output(const struct nfkit_output *output,
				      enum nfkit_counter counter,
				      unsigned long add)
{
	nfkit_count_in(output->target->counters, counter, add);
	if (output->counters)
		nfkit_count_in(output->counters, counter, add);
}

/* queue.c */
bool nfkit_queue_full(const struct nfkit_output *output);
void nfkit_queue_add(struct nfkit_output *output, struct sk_buff *skb);
void nfkit_queue_flush_target(const struct nfkit_target *target);
void nfkit_queue_flush_sinks(const struct nfkit_sinks *sinks);

/* reroute.c */
bool nfkit_reroute(struct nfkit_output *output, struct sk_buff *skb,
		   const struct nf_hook_state *state);
void nfkit_reroute_send(const struct nfkit_output *output, struct sk_buff *skb);

/* layer2.c */
bool nfkit_layer2_direct(const struct net_device *dev);
bool nfkit_layer2_one(struct nfkit_output *output,
		      struct nfkit_counters *counters, struct sk_buff *skb,
		      const struct nf_hook_state *state);
bool nfkit_layer2(struct nfkit_sinks *sinks, struct nfkit_counters *counters,
		  struct sk_buff *skb, const struct nf_hook_state *state);
void nfkit_clone_devices(struct nfkit_target *const *targets,
			 unsigned int count, struct sk_buff *skb,
			 const struct nf_hook_state *state);
bool nfkit_layer2_send(const struct nfkit_output *output, struct sk_buff *skb);

/* capture.c */
enum nfkit_counter nfkit_capture_packet(struct nfkit_target *target,
					struct sk_buff *skb,
					const struct nf_hook_state *state,
					u8 point, u32 snaplen,
					unsigned int *bytes);

#endif /* NFKIT_TARGET_H */
