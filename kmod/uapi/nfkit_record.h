/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/* /dev/nfkit: captures and events, and the records that they read. See nfkit.h. */
#ifndef _UAPI_NFKIT_RECORD_H
#define _UAPI_NFKIT_RECORD_H

#include <linux/types.h>

#include "nfkit_object.h"

/* How many descriptors of a namespace may capture. */
#define NFKIT_MAX_CAPTURES	64
/* Bytes that a descriptor's buffer may have, and all those of a namespace. */
#define NFKIT_MIN_BUFFER	(64 * 1024)
#define NFKIT_MAX_BUFFER	(64 * 1024 * 1024)
#define NFKIT_MAX_BUFFERS	(256 * 1024 * 1024)
/* Bytes of a packet that a capture keeps at most. */
#define NFKIT_MAX_SNAPLEN	(256 * 1024)

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

#endif /* _UAPI_NFKIT_RECORD_H */
