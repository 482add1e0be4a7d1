/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The character device /dev/nfkit.
 *
 * A descriptor belongs to the network namespace in which it was opened, for
 * good. It needs CAP_NET_ADMIN in that namespace's user namespace: of who
 * opens it, and at every command of who opened it and of who calls, so that a
 * descriptor handed to somebody without it is useless there (EPERM). It does
 * not keep the namespace: when that is gone, every command answers ENETDOWN.
 *
 * Every command takes a struct that begins with its size. A smaller one, of an
 * older program, is taken as if zeros followed; a larger one, of a newer
 * program, is refused with E2BIG unless what is unknown here is zero. What is
 * written back ends where the caller's struct does. Sizes over a page are
 * E2BIG, those that lack a first version's fields EINVAL. Reserved fields and
 * unknown flags must be zero (EINVAL). 32-bit programs see the same structs.
 * A command that fails changes nothing.
 *
 * ENOTTY: the module does not know the command; what it does know is in
 * nfkit_info.features.
 */
#ifndef _UAPI_NFKIT_H
#define _UAPI_NFKIT_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define NFKIT_IOCTL_TYPE	0xbd

/* Names of clone targets, with the final NUL: A-Z a-z 0-9 _ - and dot. */
#define NFKIT_NAME_SIZE		32
/* Names of devices, with the final NUL (IFNAMSIZ). */
#define NFKIT_DEVICE_SIZE	16
/* How many devices a clone target may have. */
#define NFKIT_MAX_OUTPUTS	8
/* How many clone targets programs may define in a network namespace. */
#define NFKIT_MAX_TARGETS	1024

/* Clone targets by name: NFKIT_TARGET_*, and -j CLONE --target. */
#define NFKIT_FEATURE_TARGETS	0x1
/* The sink `reroute`. */
#define NFKIT_FEATURE_REROUTE	0x2
/* The sink `devices`, and -j CLONE --dev. */
#define NFKIT_FEATURE_DEVICES	0x4
/* Sampling of 1 packet in N, exact and at random. */
#define NFKIT_FEATURE_SAMPLE	0x8

/**
 * struct nfkit_info - what the module has
 * @size: of this struct; comes back as the size that the module knows
 * @targets: how many clone targets programs have defined here
 * @features: NFKIT_FEATURE_*
 * @max_targets: how many they may define
 * @max_outputs: how many devices each may have
 */
struct nfkit_info {
	__u32 size;
	__u32 targets;
	__aligned_u64 features;
	__u32 max_targets;
	__u32 max_outputs;
};

/* An output adds a VLAN tag, outside of those that the packet has. */
#define NFKIT_OUTPUT_VLAN	0x1
/* An output sets the destination MAC address. */
#define NFKIT_OUTPUT_DESTINATION	0x2

/**
 * struct nfkit_output_config - a device that copies leave by, as frames
 * @device: its name, NUL-terminated, zeros behind; it need not exist yet
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
#define NFKIT_TARGET_PERSISTENT	0x1
/* EEXIST if the target is defined already. */
#define NFKIT_TARGET_CREATE	0x2
/* Copies are routed by @mark. */
#define NFKIT_TARGET_REROUTE	0x4
/* Each packet is chosen by chance, instead of the first of every N. */
#define NFKIT_TARGET_RANDOM	0x8

/**
 * struct nfkit_target_set - define a clone target, or define it anew
 * @size: of this struct
 * @flags: NFKIT_TARGET_*
 * @name: its name, NUL-terminated, zeros behind
 * @mark: the mark of rerouted copies; 0 without NFKIT_TARGET_REROUTE
 * @sample: copy 1 packet in so many; 0 and 1: all
 * @output_count: how many outputs there are, up to NFKIT_MAX_OUTPUTS
 * @output_size: sizeof(struct nfkit_output_config) of the caller
 * @outputs: address of an array of struct nfkit_output_config
 *
 * At least one sink: outputs, reroute, or both. Packets in flight meet the old
 * definition or the new one, none is counted by neither; counters go on, those
 * of an output as long as there is one for its device. Copies that wait for
 * the old definition are dropped, as `flushed`.
 *
 * A target belongs to the descriptor that defined it and goes when that is
 * closed, unless persistent: then every descriptor of the namespace may define
 * it anew or delete it. Rules may name it before and after.
 *
 * EPERM: it belongs to another descriptor. EEXIST: see NFKIT_TARGET_CREATE.
 * ENOSPC: there are NFKIT_MAX_TARGETS. EINVAL: a device is named twice, or a
 * value is not as said here. ENOMEM.
 */
struct nfkit_target_set {
	__u32 size;
	__u32 flags;
	char name[NFKIT_NAME_SIZE];
	__u32 mark;
	__u32 sample;
	__u32 output_count;
	__u32 output_size;
	__aligned_u64 outputs;
};

/**
 * struct nfkit_target_delete - delete a clone target
 * @size: of this struct
 * @reserved: zero
 * @name: its name
 *
 * ENOENT: none is defined. EPERM: it belongs to another descriptor.
 */
struct nfkit_target_delete {
	__u32 size;
	__u32 reserved;
	char name[NFKIT_NAME_SIZE];
};

/**
 * struct nfkit_stats - what happened to packets, or to those of an output
 * @seen: packets that a rule handed over (an output: that were to be copied)
 * @cloned: copies made: those sent, those of the last group and those waiting
 * @sent: copies that the device took
 * @bytes: length of the frames sent to outputs, without FCS and hardware tags
 * @no_target: packets met while the target was not defined
 * @sampled_out: packets not chosen
 * @no_route: reroute: no route yet where the packet was met
 * @loop: the packet was met while a copy was sent
 * @unroutable: reroute: no route for the copy
 * @local: reroute: the route leads back to this box
 * @same_device: the packet came from or goes to the copy's device
 * @too_big: longer than the MTU of the copy's way
 * @queue_full: see net.nfkit.queue_limit
 * @no_memory: there was none
 * @no_header: devices: the packet has no Ethernet header here
 * @unresolved: reroute: the neighbour's address was not known yet
 * @device_down: the device is down, has no carrier, is not Ethernet, or is
 *	not there
 * @refused: by the device or its queueing discipline
 * @flushed: waited when device or target went away
 *
 * Every packet seen is counted by @no_target or @sampled_out, or makes, for each
 * sink and output, a copy or one of the reasons from @no_route to @no_header.
 */
struct nfkit_stats {
	__aligned_u64 seen;
	__aligned_u64 cloned;
	__aligned_u64 sent;
	__aligned_u64 bytes;
	__aligned_u64 no_target;
	__aligned_u64 sampled_out;
	__aligned_u64 no_route;
	__aligned_u64 loop;
	__aligned_u64 unroutable;
	__aligned_u64 local;
	__aligned_u64 same_device;
	__aligned_u64 too_big;
	__aligned_u64 queue_full;
	__aligned_u64 no_memory;
	__aligned_u64 no_header;
	__aligned_u64 unresolved;
	__aligned_u64 device_down;
	__aligned_u64 refused;
	__aligned_u64 flushed;
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

/* The target belongs to this descriptor. */
#define NFKIT_TARGET_OWN	0x10000

/**
 * struct nfkit_target_get - read a clone target and its counters
 * @size: of this struct
 * @flags: 0; comes back as NFKIT_TARGET_PERSISTENT, _REROUTE, _RANDOM, _OWN
 * @name: its name
 * @mark: comes back
 * @sample: comes back
 * @output_count: for how many there is room; comes back as how many there are
 * @output_size: sizeof(struct nfkit_output_state) of the caller; elements are
 *	filled up to that, with zeros behind what the module knows
 * @outputs: address of an array of struct nfkit_output_state
 * @rules: how many rules name it
 * @reserved: zero
 * @stats: its counters; they begin when a rule or a program first names it
 *
 * ENOENT: none is defined.
 */
struct nfkit_target_get {
	__u32 size;
	__u32 flags;
	char name[NFKIT_NAME_SIZE];
	__u32 mark;
	__u32 sample;
	__u32 output_count;
	__u32 output_size;
	__aligned_u64 outputs;
	__u32 rules;
	__u32 reserved;
	struct nfkit_stats stats;
};

/**
 * struct nfkit_target_list - the names of the targets that are defined
 * @size: of this struct
 * @count: for how many there is room; comes back as how many there are
 * @names: address of an array of char [NFKIT_NAME_SIZE]
 *
 * The order means nothing. Who finds more than there was room for asks again.
 */
struct nfkit_target_list {
	__u32 size;
	__u32 count;
	__aligned_u64 names;
};

#define NFKIT_INFO		_IO(NFKIT_IOCTL_TYPE, 0x00)
#define NFKIT_TARGET_SET	_IO(NFKIT_IOCTL_TYPE, 0x10)
#define NFKIT_TARGET_DELETE	_IO(NFKIT_IOCTL_TYPE, 0x11)
#define NFKIT_TARGET_GET	_IO(NFKIT_IOCTL_TYPE, 0x12)
#define NFKIT_TARGET_LIST	_IO(NFKIT_IOCTL_TYPE, 0x13)

#endif /* _UAPI_NFKIT_H */
