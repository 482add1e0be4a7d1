/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/* /dev/nfkit: clone targets. See nfkit.h. */
#ifndef _UAPI_NFKIT_TARGET_H
#define _UAPI_NFKIT_TARGET_H

#include <linux/types.h>

#include "nfkit_object.h"

/* How many devices a clone target may have. */
#define NFKIT_MAX_OUTPUTS	8
/* How many clone targets programs may define in a network namespace. */
#define NFKIT_MAX_TARGETS	1024

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
 * @buffer_full. A copy by a route may come to @too_big and @no_memory, too, instead
 * of those of the last group. One in segments or fragments counts once.
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

#endif /* _UAPI_NFKIT_TARGET_H */
