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

#include "nfkit_hook.h"
#include "nfkit_object.h"
#include "nfkit_record.h"
#include "nfkit_target.h"

#define NFKIT_IOCTL_TYPE	0xbd

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
