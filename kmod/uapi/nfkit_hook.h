/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/* /dev/nfkit: hooks. See nfkit.h. */
#ifndef _UAPI_NFKIT_HOOK_H
#define _UAPI_NFKIT_HOOK_H

#include <linux/types.h>

#include "nfkit_object.h"

/* How many hooks programs may have in a network namespace; a point has 1024. */
#define NFKIT_MAX_HOOKS		256
/* Instructions of a hook's program (BPF_MAXINSNS). */
#define NFKIT_MAX_INSTRUCTIONS	4096
/* How often a packet may be matched again. */
#define NFKIT_MAX_REPEAT	16

/*
 * Where a hook is.
 *
 *			in out pin pout  link      queue mark reroute-sink
 * PREROUTING		x  -   x   -     RAW EN10MB  x   x   -
 * LOCAL_IN		x  -   x   -     RAW EN10MB  x   x   x
 * FORWARD		x  x   x   x     RAW EN10MB  x   x   x
 * LOCAL_OUT		-  x   -   -     RAW         x   x   x
 * POSTROUTING		-  x   -   x     RAW         x   x   x
 * BRIDGE_PREROUTING	x  -   -   -     RAW EN10MB  x   x   -
 * BRIDGE_LOCAL_IN	x  -   -   -     RAW EN10MB  x   x   -
 * BRIDGE_FORWARD	x  x   -   -     RAW EN10MB  x   x   -
 * BRIDGE_LOCAL_OUT	-  x   -   -     RAW EN10MB  x   x   -
 * BRIDGE_POSTROUTING	-  x   -   -     RAW EN10MB  x   x   -
 * INGRESS		X  -   -   -     RAW EN10MB  -   x   -
 * EGRESS		-  X   -   -     RAW EN10MB  -   x   -
 *
 * x: may be given; X: must be; -: EINVAL. `pin` and `pout` are the ports of a
 * bridge that br_netfilter remembers. ACCEPT, DROP, REDIRECT, REPEAT, and a clone
 * target with ACCEPT, DROP and QUEUE exist at every point. The families IPv4 and
 * IPv6 are chosen at the first five points, and must be 0 at the others. A mark
 * that changes at LOCAL_OUT has the route looked up again.
 */
enum nfkit_point {
	NFKIT_POINT_PREROUTING = 0,
	NFKIT_POINT_LOCAL_IN = 1,
	NFKIT_POINT_FORWARD = 2,
	NFKIT_POINT_LOCAL_OUT = 3,
	NFKIT_POINT_POSTROUTING = 4,
	NFKIT_POINT_BRIDGE_PREROUTING = 5,
	NFKIT_POINT_BRIDGE_LOCAL_IN = 6,
	NFKIT_POINT_BRIDGE_FORWARD = 7,
	NFKIT_POINT_BRIDGE_LOCAL_OUT = 8,
	NFKIT_POINT_BRIDGE_POSTROUTING = 9,
	NFKIT_POINT_INGRESS = 10,
	NFKIT_POINT_EGRESS = 11,
};

enum nfkit_verdict {
	/* The next hook sees the packet. */
	NFKIT_VERDICT_ACCEPT = 0,
	NFKIT_VERDICT_DROP = 1,
	/*
	 * The packet goes into the clone target instead of on its way: to every
	 * sink, without sampling and limits. What none takes is accepted, or
	 * dropped with NFKIT_HOOK_FAIL_DROP.
	 */
	NFKIT_VERDICT_REDIRECT = 2,
	/* Waits for a program's verdict in the NFQUEUE queue @queue. */
	NFKIT_VERDICT_QUEUE = 3,
	/*
	 * The mark is set and the packet matched again, at most @repeat times
	 * as long as it matches; then it is accepted.
	 */
	NFKIT_VERDICT_REPEAT = 4,
};

#define NFKIT_FAMILY_IPV4		0x1
#define NFKIT_FAMILY_IPV6		0x2

/*
 * What a program's data begins with (LINKTYPE_*): the IP header, as `tcpdump -y
 * RAW -ddd` takes it, or the MAC header, as `-y EN10MB -ddd` does. A packet that
 * has no such header here does not match, and is counted as `no_header`: at
 * points of frames, what is not IPv4 or IPv6 for RAW, behind up to two VLAN tags
 * that are still in the frame; at points of IP, what did not come from Ethernet
 * for EN10MB.
 */
#define NFKIT_LINK_RAW			101
#define NFKIT_LINK_EN10MB		1

/* Keep the hook when the descriptor is closed. */
#define NFKIT_HOOK_PERSISTENT		0x01
/* EEXIST if there is a hook of that name already. */
#define NFKIT_HOOK_CREATE		0x02
/* QUEUE: accept while no program listens, instead of dropping. */
#define NFKIT_HOOK_BYPASS		0x04
/* REDIRECT: drop what the target does not take. */
#define NFKIT_HOOK_FAIL_DROP		0x08
/* Packets that match get a mark: (mark & ~@mark_mask) ^ @mark. */
#define NFKIT_HOOK_MARK			0x10
/*
 * The program answers 0xfffffffe for packets that it cannot decide on, such as
 * those with too many IPv6 extension headers: they do not match, and are counted
 * as `undecided`. Without the flag that is a match, as every answer but 0 is.
 */
#define NFKIT_HOOK_UNDECIDED		0x20
#define NFKIT_BPF_UNDECIDED		0xfffffffe

/**
 * struct nfkit_hook_set - make a hook, or make it anew
 * @size: of this struct
 * @flags: NFKIT_HOOK_*
 * @name: its name
 * @point: enum nfkit_point
 * @family: NFKIT_FAMILY_*, see enum nfkit_point
 * @verdict: enum nfkit_verdict of packets that match
 * @priority: hooks of a point are met in the order of this (NF_IP_PRI_*)
 * @in: name of the device that packets came by; empty: any
 * @out: name of the device that they leave by; empty: any
 * @physin: name of the port of a bridge that they came by
 * @physout: name of the port of a bridge that they leave by
 * @mark: see NFKIT_HOOK_MARK; needed for REPEAT
 * @mark_mask: bits of @mark and those that it replaces
 * @queue: number of the NFQUEUE queue, 0 to 65535; 0 with other verdicts
 * @repeat: how often a packet is matched again, 1 to NFKIT_MAX_REPEAT; 0 with
 *	other verdicts
 * @target: name of the clone target that packets that match go into; needed for
 *	REDIRECT; empty: none; not with REPEAT
 * @link: NFKIT_LINK_*; 0 without a program
 * @instruction_count: length of the program, up to NFKIT_MAX_INSTRUCTIONS; 0: every
 *	packet matches
 * @instructions: address of an array of struct sock_filter
 * @reserved: zero
 *
 * Devices are found by their names when packets come; a hook at INGRESS or EGRESS
 * is there whenever its device is. A hook that is made anew takes its place in one
 * step: every packet meets the old one or the new one, or, for a moment where
 * point, family, priority or device change, both. Its counters go on. A clone
 * target gets the packet as the hook meets it, before the mark is changed.
 *
 * When a hook goes, or is made anew at another point, family, priority or device,
 * the kernel drops what waits in NFQUEUE queues of the namespace, whoever queued
 * it (nf_queue_nf_hook_drop). Of hooks with the same priority the latest is met
 * first. br_netfilter takes packets of IP at the bridge's points with the
 * priorities -1 and 0; hooks that have these may not see them.
 *
 * EINVAL: a field is not as said here, or the program is none that the kernel
 * takes (bpf_check_classic). EOPNOTSUPP: the kernel does not have this point.
 * ENOSPC: there are NFKIT_MAX_HOOKS, or the kernel's 1024 at the point. EEXIST: see
 * NFKIT_HOOK_CREATE.
 */
struct nfkit_hook_set {
	__u32 size;
	__u32 flags;
	char name[NFKIT_NAME_SIZE];
	__u8 point;
	__u8 family;
	__u8 verdict;
	__u8 reserved;
	__s32 priority;
	char in[NFKIT_DEVICE_SIZE];
	char out[NFKIT_DEVICE_SIZE];
	char physin[NFKIT_DEVICE_SIZE];
	char physout[NFKIT_DEVICE_SIZE];
	__u32 mark;
	__u32 mark_mask;
	__u32 queue;
	__u32 repeat;
	char target[NFKIT_NAME_SIZE];
	__u32 link;
	__u32 instruction_count;
	__aligned_u64 instructions;
};

/**
 * struct nfkit_hook_stats - what a hook did
 * @seen: packets that came by, with the hook's devices
 * @bytes: length of those that matched, from the header on that the point sees
 * @matched: packets that matched; the others went on
 * @no_header: see NFKIT_LINK_*
 * @undecided: see NFKIT_HOOK_UNDECIDED
 * @accepted: this and the following are what became of those that matched
 * @dropped: by the verdict
 * @redirected: taken by the clone target
 * @not_taken: not taken by it; also counted as accepted or dropped
 * @queued: given to the queue
 * @repeated: how often packets were matched again
 * @unfinished: packets that still matched after that; also counted as accepted
 * @unroutable: no route after a new mark at LOCAL_OUT; also counted as dropped
 * @no_memory: nothing could be done with the packet for want of memory; it does
 *	not match
 */
struct nfkit_hook_stats {
	__aligned_u64 seen;
	__aligned_u64 bytes;
	__aligned_u64 matched;
	__aligned_u64 no_header;
	__aligned_u64 undecided;
	__aligned_u64 accepted;
	__aligned_u64 dropped;
	__aligned_u64 redirected;
	__aligned_u64 not_taken;
	__aligned_u64 queued;
	__aligned_u64 repeated;
	__aligned_u64 unfinished;
	__aligned_u64 unroutable;
	__aligned_u64 no_memory;
};

/**
 * struct nfkit_hook_get - read a hook and its counters
 * @hook: as it was set, and: @hook.size is of this whole struct; @hook.flags
 *	comes back without _CREATE and with NFKIT_OWN; @hook.instruction_count is
 *	for how many there is room and comes back as how many there are: 0 where only
 *	the counters are of interest. But for these, the name and the address,
 *	everything is 0 in the call
 * @stats: comes back
 *
 * ENOENT: there is none.
 */
struct nfkit_hook_get {
	struct nfkit_hook_set hook;
	struct nfkit_hook_stats stats;
};

#endif /* _UAPI_NFKIT_HOOK_H */
