/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The character device /dev/nfkit: clone targets, hooks and capture.
 *
 * A descriptor belongs to the network namespace in which it was opened, or to
 * the one that NFKIT_NETNS gave it before it had an object. It needs
 * CAP_NET_ADMIN in that namespace's user namespace: of who opens it, and at
 * every command and read of who opened it and of who calls, so that a
 * descriptor handed to somebody without it is useless there (EPERM). It does
 * not keep the namespace: when that is gone, every command and read answers
 * ENETDOWN, and poll tells EPOLLERR and EPOLLHUP.
 *
 * Every command takes a struct that begins with its size. A smaller one, of an
 * older program, is taken as if zeros followed; a larger one, of a newer
 * program, is refused with E2BIG unless what is unknown here is zero. What is
 * written back ends where the caller's struct does. Sizes over a page are
 * E2BIG, those that lack a first version's fields EINVAL. Arrays tell the size
 * of their elements, by the same rules. Reserved fields and unknown flags must
 * be zero (EINVAL). Names are NUL-terminated, with zeros behind (EINVAL).
 * 32-bit programs see the same structs. A command that fails changes nothing.
 *
 * ENOTTY: the module does not know the command; what it does know is in
 * nfkit_info.features. ENOMEM and EFAULT as everywhere.
 *
 * An object belongs to the descriptor that made it and goes when that is
 * closed, unless it is persistent: then every descriptor of the namespace may
 * change it or delete it. Another's object is EPERM.
 */
#ifndef _UAPI_NFKIT_H
#define _UAPI_NFKIT_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define NFKIT_IOCTL_TYPE	0xbd

/* Names of objects, with the final NUL: A-Z a-z 0-9 _ - and dot. */
#define NFKIT_NAME_SIZE		32
/* Names of devices, with the final NUL (IFNAMSIZ). */
#define NFKIT_DEVICE_SIZE	16
/* How many devices a clone target may have. */
#define NFKIT_MAX_OUTPUTS	8
/* How many clone targets programs may define in a network namespace. */
#define NFKIT_MAX_TARGETS	1024
/* How many hooks they may have there. The kernel has at most 1024 at a point. */
#define NFKIT_MAX_HOOKS		256
/* How many descriptors of a namespace may capture. */
#define NFKIT_MAX_CAPTURES	64
/* Bytes that a descriptor's buffer may have, and all those of a namespace. */
#define NFKIT_MIN_BUFFER	(64 * 1024)
#define NFKIT_MAX_BUFFER	(64 * 1024 * 1024)
#define NFKIT_MAX_BUFFERS	(256 * 1024 * 1024)
/* Bytes of a packet that a capture keeps at most. */
#define NFKIT_MAX_SNAPLEN	(256 * 1024)
/* Instructions of a hook's program (BPF_MAXINSNS). */
#define NFKIT_MAX_INSTRUCTIONS	4096
/* How often a packet may be matched again. */
#define NFKIT_MAX_REPEAT	16

/* Clone targets by name: NFKIT_TARGET_*, and -j CLONE --target. */
#define NFKIT_FEATURE_TARGETS		0x0001
/* The sink `reroute`. */
#define NFKIT_FEATURE_REROUTE		0x0002
/* The sink `devices`, and -j CLONE --dev. */
#define NFKIT_FEATURE_DEVICES		0x0004
/* The sink `capture`, NFKIT_CAPTURE and NFKIT_EVENTS. */
#define NFKIT_FEATURE_CAPTURE		0x0008
/* Sampling, snaplen, rate, and a target's own queue bound and policy. */
#define NFKIT_FEATURE_LIMITS		0x0010
/* Hooks at the points of IPv4 and IPv6. */
#define NFKIT_FEATURE_HOOKS		0x0020
/* Hooks at the points of the bridge: the kernel has NETFILTER_FAMILY_BRIDGE. */
#define NFKIT_FEATURE_HOOKS_BRIDGE	0x0040
/* Hooks at netdev ingress (NETFILTER_INGRESS). */
#define NFKIT_FEATURE_HOOKS_INGRESS	0x0080
/* Hooks at netdev egress (Linux 5.16, NETFILTER_EGRESS). */
#define NFKIT_FEATURE_HOOKS_EGRESS	0x0100

/**
 * struct nfkit_info - what the module has
 * @size: of this struct; comes back as the size that the module knows
 * @targets: how many clone targets programs have defined here
 * @features: NFKIT_FEATURE_*
 * @hooks: how many hooks there are here
 * @captures: how many descriptors capture here
 * @max_targets: NFKIT_MAX_TARGETS of the module
 * @max_outputs: NFKIT_MAX_OUTPUTS
 * @max_hooks: NFKIT_MAX_HOOKS
 * @max_captures: NFKIT_MAX_CAPTURES
 */
struct nfkit_info {
	__u32 size;
	__u32 targets;
	__aligned_u64 features;
	__u32 hooks;
	__u32 captures;
	__u32 max_targets;
	__u32 max_outputs;
	__u32 max_hooks;
	__u32 max_captures;
};

/**
 * struct nfkit_netns - which network namespace the descriptor belongs to
 * @size: of this struct
 * @fd: a descriptor of a network namespace (setns(2)), in whose user namespace
 *	the caller has CAP_NET_ADMIN
 *
 * EBUSY: the descriptor has had an object, a capture or events already.
 * EBADF, EINVAL: it is no descriptor of a network namespace.
 */
struct nfkit_netns {
	__u32 size;
	__s32 fd;
};

/* An output adds a VLAN tag, outside of those that the packet has (RSPAN). */
#define NFKIT_OUTPUT_VLAN		0x1
/* An output sets the destination MAC address. */
#define NFKIT_OUTPUT_DESTINATION	0x2

/**
 * struct nfkit_output_config - a device that copies leave by, as frames
 * @device: its name; it need not exist yet
 * @flags: NFKIT_OUTPUT_*
 * @vlan_protocol: 0x8100 or 0x88a8, in host order; 0 without the flag
 * @vlan_tci: VLAN ID 0 to 4094, and priority in the upper three bits; 0
 *	without the flag
 * @destination: a unicast or group address other than all zeros; zeros
 *	without the flag
 * @reserved: zero
 */
struct nfkit_output_config {
	char device[NFKIT_DEVICE_SIZE];
	__u32 flags;
	__u16 vlan_protocol;
	__u16 vlan_tci;
	__u8 destination[6];
	__u8 reserved[2];
};

/* Keep the target when the descriptor is closed. */
#define NFKIT_TARGET_PERSISTENT		0x01
/* EEXIST if the target is defined already. */
#define NFKIT_TARGET_CREATE		0x02
/* Sink: copies are routed by @mark. */
#define NFKIT_TARGET_REROUTE		0x04
/* Sink: copies go to the descriptors that capture the target. */
#define NFKIT_TARGET_CAPTURE		0x08
/* Each packet is chosen by chance, instead of the first of every @sample. */
#define NFKIT_TARGET_RANDOM		0x10
/* When the queue is full, the oldest copy of the target goes, not the newest. */
#define NFKIT_TARGET_DROP_OLDEST	0x20
/* Every copy is queued, also where it could be sent at once. */
#define NFKIT_TARGET_DEFER		0x40

/**
 * struct nfkit_target_set - define a clone target, or define it anew
 * @size: of this struct
 * @flags: NFKIT_TARGET_*
 * @name: its name
 * @mark: the mark of rerouted copies; 0 without NFKIT_TARGET_REROUTE
 * @sample: copy 1 packet in so many; 0 and 1: all
 * @snaplen: bytes of a frame that outputs send at most, 60 to 65535, and that
 *	captures keep at most, from the header on that they start with; rerouted
 *	copies are whole; 0: all
 * @rate: packets per second that are copied, on average; 0: no limit
 * @burst: packets that may be copied at once after a pause, 1 to 1000000, at
 *	most one second's at a @rate above that; 0 without a rate
 * @queue_limit: how many copies may wait on each CPU for this target, within
 *	net.nfkit.queue_limit; 0: only that one counts
 * @output_count: how many outputs there are, up to NFKIT_MAX_OUTPUTS
 * @output_size: sizeof(struct nfkit_output_config) of the caller; 0 without
 *	outputs
 * @outputs: address of an array of struct nfkit_output_config; 0 without
 *
 * At least one sink: outputs, reroute or capture. Packets in flight meet the old
 * definition or the new one, none is counted by neither; counters go on, those
 * of an output as long as there is one for its device. Copies that wait for
 * the old definition are dropped, as `flushed`.
 *
 * Rules, hooks and captures may name a target before it is defined and after.
 *
 * EEXIST: see NFKIT_TARGET_CREATE. ENOSPC: there are NFKIT_MAX_TARGETS. EINVAL:
 * a device is named twice, the sink reroute is asked for and a hook names the
 * target where no packet has a route (see NFKIT_POINT_*), or a value is not as
 * said here.
 */
struct nfkit_target_set {
	__u32 size;
	__u32 flags;
	char name[NFKIT_NAME_SIZE];
	__u32 mark;
	__u32 sample;
	__u32 snaplen;
	__u32 rate;
	__u32 burst;
	__u32 queue_limit;
	__u32 output_count;
	__u32 output_size;
	__aligned_u64 outputs;
};

/**
 * struct nfkit_delete - delete an object: NFKIT_TARGET_DELETE, NFKIT_HOOK_DELETE
 * @size: of this struct
 * @reserved: zero
 * @name: its name
 *
 * ENOENT: there is none.
 */
struct nfkit_delete {
	__u32 size;
	__u32 reserved;
	char name[NFKIT_NAME_SIZE];
};

/**
 * struct nfkit_stats - what happened to packets, or to those of an output
 * @seen: packets that a rule or hook handed over (an output: that were to be
 *	copied)
 * @cloned: copies made: those sent, those of the last group and those queued
 * @sent: copies that the device took, or a capture
 * @bytes: length of what was sent to outputs and captured, as it was sent,
 *	without FCS and hardware VLAN tags
 * @queued: copies that wait now
 * @no_target: packets met while the target was not defined
 * @sampled_out: packets not chosen
 * @limited: packets above the rate
 * @no_route: reroute: no route yet where the packet was met
 * @loop: the packet was met while a copy was sent
 * @no_device: devices: there is no such device, or it is not Ethernet
 * @unroutable: reroute: no route for the copy
 * @local: reroute: the route leads back to this box
 * @same_device: the packet came from or goes to the copy's device
 * @too_big: longer than the MTU of the copy's way
 * @queue_full: see net.nfkit.queue_limit and nfkit_target_set.queue_limit
 * @no_memory: there was none
 * @no_reader: capture: nobody captures the target
 * @buffer_full: capture: no room in the buffer of any who captures it
 * @unresolved: reroute: the neighbour's address was not known yet
 * @device_down: the device is down, has no carrier, or went away
 * @refused: by the device or its queueing discipline
 * @flushed: waited when device or target went away
 * @dropped_oldest: waited when the queue was full and a newer copy came
 *
 * Every packet seen is counted by @no_target, @sampled_out or @limited, or makes,
 * for each sink and output, a copy or one of the reasons from @no_route to
 * @buffer_full. A frame that is sent in segments to be truncated is one copy.
 */
struct nfkit_stats {
	__aligned_u64 seen;
	__aligned_u64 cloned;
	__aligned_u64 sent;
	__aligned_u64 bytes;
	__aligned_u64 queued;
	__aligned_u64 no_target;
	__aligned_u64 sampled_out;
	__aligned_u64 limited;
	__aligned_u64 no_route;
	__aligned_u64 loop;
	__aligned_u64 no_device;
	__aligned_u64 unroutable;
	__aligned_u64 local;
	__aligned_u64 same_device;
	__aligned_u64 too_big;
	__aligned_u64 queue_full;
	__aligned_u64 no_memory;
	__aligned_u64 no_reader;
	__aligned_u64 buffer_full;
	__aligned_u64 unresolved;
	__aligned_u64 device_down;
	__aligned_u64 refused;
	__aligned_u64 flushed;
	__aligned_u64 dropped_oldest;
};

/**
 * struct nfkit_output_state - an output and what it did
 * @config: as it was set
 * @ifindex: of the device; 0: it is not there
 * @reserved: zero
 * @stats: its share of the target's
 */
struct nfkit_output_state {
	struct nfkit_output_config config;
	__u32 ifindex;
	__u32 reserved;
	struct nfkit_stats stats;
};

/* Comes back: the object belongs to this descriptor. */
#define NFKIT_OWN			0x10000

/**
 * struct nfkit_target_get - read a clone target and its counters
 * @size: of this struct
 * @flags: 0; comes back as NFKIT_TARGET_* but _CREATE, and NFKIT_OWN
 * @name: its name
 * @mark: this and the following come back as they were set
 * @sample: at least 1
 * @snaplen: as set
 * @rate: as set
 * @burst: as set
 * @queue_limit: as set
 * @output_count: for how many there is room; comes back as how many there are
 * @output_size: sizeof(struct nfkit_output_state) of the caller; elements are
 *	filled up to that, with zeros behind what the module knows
 * @outputs: address of an array of struct nfkit_output_state
 * @rules: comes back: how many rules name it
 * @hooks: comes back: how many hooks name it
 * @captures: comes back: how many descriptors capture it
 * @reserved: zero
 * @stats: comes back: its counters; they begin when a rule or a program first
 *	names it
 *
 * ENOENT: none is defined.
 */
struct nfkit_target_get {
	__u32 size;
	__u32 flags;
	char name[NFKIT_NAME_SIZE];
	__u32 mark;
	__u32 sample;
	__u32 snaplen;
	__u32 rate;
	__u32 burst;
	__u32 queue_limit;
	__u32 output_count;
	__u32 output_size;
	__aligned_u64 outputs;
	__u32 rules;
	__u32 hooks;
	__u32 captures;
	__u32 reserved;
	struct nfkit_stats stats;
};

/**
 * struct nfkit_list - names: NFKIT_TARGET_LIST (of those defined), NFKIT_HOOK_LIST
 * @size: of this struct
 * @count: for how many there is room; comes back as how many there are
 * @names: address of an array of char [NFKIT_NAME_SIZE]
 *
 * The order means nothing. Who finds more than there was room for asks again.
 */
struct nfkit_list {
	__u32 size;
	__u32 count;
	__aligned_u64 names;
};

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

/**
 * struct nfkit_capture - read the packets of a clone target by this descriptor
 * @size: of this struct
 * @flags: 0
 * @target: its name; it may be defined later, and gives packets while it has the
 *	sink capture (NFKIT_TARGET_CAPTURE)
 * @snaplen: bytes of a packet that are kept at most, from its first header on, up
 *	to NFKIT_MAX_SNAPLEN; 0: that
 * @buffer: bytes for records that were not read yet, NFKIT_MIN_BUFFER to
 *	NFKIT_MAX_BUFFER, rounded up to whole pages; 0: 1 MiB. A record that is
 *	longer is lost
 *
 * EBUSY: the descriptor captures already. ENOSPC: there are NFKIT_MAX_CAPTURES, or
 * the buffers would have more than NFKIT_MAX_BUFFERS.
 */
struct nfkit_capture {
	__u32 size;
	__u32 flags;
	char target[NFKIT_NAME_SIZE];
	__u32 snaplen;
	__u32 buffer;
};

/**
 * struct nfkit_capture_stats - what a capture did
 * @size: of this struct
 * @reserved: zero
 * @captured: records of packets put into the buffer
 * @lost: packets for which there was no room in it
 * @used: bytes of the buffer that hold records
 * @buffer: bytes that it has
 *
 * ENOENT: the descriptor captures nothing.
 */
struct nfkit_capture_stats {
	__u32 size;
	__u32 reserved;
	__aligned_u64 captured;
	__aligned_u64 lost;
	__u32 used;
	__u32 buffer;
};

/**
 * struct nfkit_events - read what happens to targets by this descriptor
 * @size: of this struct
 * @reserved: zero
 *
 * From then on records of events of the whole namespace can be read. At least 1024
 * can wait; what there is no room for is told as lost. EBUSY: asked for already.
 * ENOSPC: the buffers would have more than NFKIT_MAX_BUFFERS, of which this takes
 * some 80 KiB.
 */
struct nfkit_events {
	__u32 size;
	__u32 reserved;
};

/*
 * read(2) gives as many whole records as fit, and waits for the first unless
 * O_NONBLOCK is set (EAGAIN). EMSGSIZE: the first does not fit. EINVAL: neither
 * NFKIT_CAPTURE nor NFKIT_EVENTS was asked for. poll(2) tells EPOLLIN when there
 * is one; of packets in quick succession it tells within ten milliseconds,
 * or when a quarter of the buffer is full. Each begins at a multiple of 8 bytes.
 * Events come before packets, each kind in the order of its timestamps.
 */
enum nfkit_record_type {
	NFKIT_RECORD_PACKET = 1,
	NFKIT_RECORD_EVENT = 2,
	/*
	 * A struct nfkit_record alone: packets were lost and none came since, so
	 * that no record of a packet could tell.
	 */
	NFKIT_RECORD_PACKETS_LOST = 3,
	/* The same for events. */
	NFKIT_RECORD_EVENTS_LOST = 4,
};

/**
 * struct nfkit_record - what every record begins with
 * @length: of the record with this, without what aligns the next one
 * @type: enum nfkit_record_type; others are to be passed over
 * @header: bytes before the packet's; for other records their length
 * @timestamp: nanoseconds of CLOCK_REALTIME
 * @lost: packets or events for which there was no room since the record before
 */
struct nfkit_record {
	__u32 length;
	__u16 type;
	__u16 header;
	__aligned_u64 timestamp;
	__aligned_u64 lost;
};

/* A rule of iptables handed the packet over; with a hook, @point is its own. */
#define NFKIT_POINT_RULE		0x80
/* Checksums of the transport header are not filled in yet. */
#define NFKIT_PACKET_CHECKSUM_PARTIAL	0x01

/**
 * struct nfkit_packet_record - a packet, whose bytes follow
 * @record: type NFKIT_RECORD_PACKET
 * @wire_length: of the packet, from its first header on
 * @captured: how many bytes follow
 * @in: index of the device that it came by; 0: none
 * @out: index of the device that it leaves by; 0: none, or not known yet
 * @mark: its mark
 * @vlan_protocol: of the VLAN tag that the hardware took off, in host order; 0: none
 * @vlan_tci: of that tag
 * @link: NFKIT_LINK_EN10MB where it has a MAC header, else NFKIT_LINK_RAW
 * @point: enum nfkit_point, with NFKIT_POINT_RULE for rules
 * @flags: NFKIT_PACKET_*
 * @gso_size: bytes of payload in each segment that it is to be cut into; 0: none
 * @reserved: zero
 */
struct nfkit_packet_record {
	struct nfkit_record record;
	__u32 wire_length;
	__u32 captured;
	__u32 in;
	__u32 out;
	__u32 mark;
	__u16 vlan_protocol;
	__u16 vlan_tci;
	__u16 link;
	__u8 point;
	__u8 flags;
	__u16 gso_size;
	__u16 reserved;
};

enum nfkit_event {
	/* A target was defined. */
	NFKIT_EVENT_TARGET_NEW = 1,
	/* It was defined anew. */
	NFKIT_EVENT_TARGET_CHANGED = 2,
	/* It was deleted, by command or with its descriptor. */
	NFKIT_EVENT_TARGET_DELETED = 3,
	/* A device of its outputs went away, took another name, or is not Ethernet now. */
	NFKIT_EVENT_DEVICE_GONE = 4,
	/* A device of its outputs came. */
	NFKIT_EVENT_DEVICE_BACK = 5,
	/* After DEVICE_GONE: it has no sink left. */
	NFKIT_EVENT_TARGET_PAUSED = 6,
	/* After DEVICE_BACK or TARGET_CHANGED: it has one again. */
	NFKIT_EVENT_TARGET_RESUMED = 7,
};

/**
 * struct nfkit_event_record - something happened to a target
 * @record: type NFKIT_RECORD_EVENT
 * @event: enum nfkit_event; others are to be passed over
 * @ifindex: of the device; 0 with other events
 * @target: name of the target
 * @device: name of the device; empty with other events
 */
struct nfkit_event_record {
	struct nfkit_record record;
	__u32 event;
	__u32 ifindex;
	char target[NFKIT_NAME_SIZE];
	char device[NFKIT_DEVICE_SIZE];
};

#define NFKIT_INFO		_IO(NFKIT_IOCTL_TYPE, 0x00)
#define NFKIT_NETNS		_IO(NFKIT_IOCTL_TYPE, 0x01)
#define NFKIT_TARGET_SET	_IO(NFKIT_IOCTL_TYPE, 0x10)
#define NFKIT_TARGET_DELETE	_IO(NFKIT_IOCTL_TYPE, 0x11)
#define NFKIT_TARGET_GET	_IO(NFKIT_IOCTL_TYPE, 0x12)
#define NFKIT_TARGET_LIST	_IO(NFKIT_IOCTL_TYPE, 0x13)
#define NFKIT_HOOK_SET		_IO(NFKIT_IOCTL_TYPE, 0x20)
#define NFKIT_HOOK_DELETE	_IO(NFKIT_IOCTL_TYPE, 0x21)
#define NFKIT_HOOK_GET		_IO(NFKIT_IOCTL_TYPE, 0x22)
#define NFKIT_HOOK_LIST		_IO(NFKIT_IOCTL_TYPE, 0x23)
#define NFKIT_CAPTURE		_IO(NFKIT_IOCTL_TYPE, 0x30)
#define NFKIT_CAPTURE_STATS	_IO(NFKIT_IOCTL_TYPE, 0x31)
#define NFKIT_EVENTS		_IO(NFKIT_IOCTL_TYPE, 0x32)

#endif /* _UAPI_NFKIT_H */
