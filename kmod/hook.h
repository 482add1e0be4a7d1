/* SPDX-License-Identifier: GPL-2.0 */
/* What the files hook*.c know of one another. */
#ifndef NFKIT_HOOK_H
#define NFKIT_HOOK_H

#include <linux/filter.h>
#include <linux/list.h>
#include <linux/netfilter.h>
#include <linux/types.h>
#include <linux/u64_stats_sync.h>

#include "target.h"

/* The devices that a hook may name. */
enum nfkit_hook_device {
	NFKIT_HOOK_IN,
	NFKIT_HOOK_OUT,
	NFKIT_HOOK_PHYSIN,
	NFKIT_HOOK_PHYSOUT,
	NFKIT_HOOK_DEVICES
};

/* In place of the index of a device that is not there: no packet has it. */
#define NFKIT_HOOK_NOWHERE	(-1)

/* In the order of struct nfkit_hook_stats. */
enum nfkit_hook_counter {
	NFKIT_HOOK_SEEN,
	NFKIT_HOOK_BYTES,
	NFKIT_HOOK_MATCHED,
	NFKIT_HOOK_NO_HEADER,
	NFKIT_HOOK_IS_UNDECIDED,
	NFKIT_HOOK_ACCEPTED,
	NFKIT_HOOK_DROPPED,
	NFKIT_HOOK_REDIRECTED,
	NFKIT_HOOK_NOT_TAKEN,
	NFKIT_HOOK_QUEUED,
	NFKIT_HOOK_REPEATED,
	NFKIT_HOOK_UNFINISHED,
	NFKIT_HOOK_UNROUTABLE,
	NFKIT_HOOK_NO_MEMORY,
	NFKIT_HOOK_COUNTERS
};

struct nfkit_hook_counters {
	u64_stats_t value[NFKIT_HOOK_COUNTERS];
	struct u64_stats_sync syncp;
};

/**
 * struct nfkit_point_row - a row of the matrix at enum nfkit_point
 * @pf: NFPROTO_*; NFPROTO_UNSPEC: of the families that the hook has
 * @hook: its number there
 * @may: the devices that may be named, BIT(enum nfkit_hook_device)
 * @must: those that have to be, and are not among @may
 * @verdicts: BIT(enum nfkit_verdict)
 * @ethernet: programs may begin at the MAC header
 * @routes: packets have a route
 * @absent: this kernel does not have it
 */
struct nfkit_point_row {
	u8 pf;
	u8 hook;
	u8 may;
	u8 must;
	u8 verdicts;
	bool ethernet;
	bool routes;
	bool absent;
};

/**
 * struct nfkit_hook_definition - what a hook does, as it was set once
 * @program: NULL: every packet matches
 * @counters: the hook's
 * @target: NULL: none
 * @ifindex: of its devices; 0: any, NFKIT_HOOK_NOWHERE. Changed under
 *	nfkit_net.lock
 * @devices: it has one at least that is not any
 * @user: what it is for the target
 * @config: as it was set
 * @instructions: those of the program
 */
struct nfkit_hook_definition {
	struct bpf_prog *program;
	struct nfkit_hook_counters __percpu *counters;
	struct nfkit_target *target;
	int ifindex[NFKIT_HOOK_DEVICES];
	bool devices;
	enum nfkit_user user;
	struct nfkit_hook_set config;
	struct sock_filter *instructions;
};

/**
 * struct nfkit_hook_place - where the kernel calls a hook
 * @definition: what is done there
 * @registered: it is called; at points of a device only while that is there
 * @count: how many of @ops there are
 * @ops: one for each family
 */
struct nfkit_hook_place {
	struct nfkit_hook_definition __rcu *definition;
	bool registered;
	unsigned int count;
	struct nf_hook_ops ops[2];
};

/**
 * struct nfkit_hook - a hook that a program made
 * @node: in nfkit_net.hooks
 * @owner: the descriptor that it goes with; NULL if it goes with none
 * @place: where it is
 * @counters: for each CPU, written with softirqs disabled
 * @name: its name
 */
struct nfkit_hook {
	struct list_head node;
	const struct nfkit_file *owner;
	struct nfkit_hook_place *place;
	struct nfkit_hook_counters __percpu *counters;
	char name[NFKIT_NAME_SIZE];
};

/* hook-points.c */
const struct nfkit_point_row *nfkit_point_row(u8 point);
bool nfkit_hook_set_valid(const struct nfkit_hook_set *set);
const char *nfkit_hook_device_name(const struct nfkit_hook_set *set,
				   enum nfkit_hook_device which);

/* hook-place.c */
struct nfkit_hook_place *
nfkit_hook_place_new(struct net *net, struct nfkit_hook_definition *definition);
bool nfkit_hook_place_fits(const struct nfkit_hook_set *a,
			   const struct nfkit_hook_set *b);
void nfkit_hook_place_leave(struct net *net, struct nfkit_hook_place *place);
void nfkit_hook_find_devices(struct net *net,
			     struct nfkit_hook_definition *definition);
void nfkit_hook_place_device(struct net_device *dev, bool there,
			     struct nfkit_hook_place *place,
			     struct nfkit_hook_definition *definition);

/* hook.c; with nfkit_net.lock held, but for nfkit_hook_define() and _delete() */
struct nfkit_hook *nfkit_hook_find(struct nfkit_net *nn, const char *name);
struct nfkit_hook_definition *
nfkit_hook_definition(struct nfkit_net *nn, const struct nfkit_hook *hook);
void nfkit_hook_definition_free(struct nfkit_hook_definition *definition);
int nfkit_hook_define(struct net *net, const struct nfkit_file *file,
		      struct nfkit_hook_definition *definition);
int nfkit_hook_remove(struct net *net, const struct nfkit_file *file,
		      const char *name);

/* hook-packet.c */
unsigned int nfkit_hook_packet(void *priv, struct sk_buff *skb,
			       const struct nf_hook_state *state);

#endif /* NFKIT_HOOK_H */
