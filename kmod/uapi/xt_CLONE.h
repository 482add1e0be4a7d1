/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_XT_CLONE_H
#define _UAPI_XT_CLONE_H

#include <linux/if.h>
#include <linux/types.h>

/**
 * struct xt_clone_info - revision 0 of the CLONE target
 * @mark: the mark of the copy, by which policy rules choose its route
 *
 * In a rule it takes XT_ALIGN(sizeof(struct xt_clone_info)) bytes.
 */
struct xt_clone_info {
	__u32 mark;
};

/* Where copies go, in revision 1. What the kernel does not know is refused with EINVAL. */
enum xt_clone_kind {
	/* routed by @mark, as in revision 0; refused in PREROUTING */
	XT_CLONE_MARK = 0,
	/* sent by each of @devices with their MAC header, without a route */
	XT_CLONE_DEVICES = 1,
	/* what a program says of the clone target named @target, see nfkit.h */
	XT_CLONE_TARGET = 2,
};

#define XT_CLONE_MAX_DEVICES 8
/* With the final NUL: A-Z a-z 0-9 _ - and dot. */
#define XT_CLONE_NAME_SIZE 32

/**
 * struct xt_clone_info_v1 - revision 1 of the CLONE target
 * @kind: enum xt_clone_kind, which says what of the union counts; the rest of
 *	it must be zero
 * @mark: as in revision 0
 * @devices: names, ended by zeros, none twice, the unused ones behind empty;
 *	a device need not be there, and is found when it comes
 * @target: a name, ended by zeros; the target need not be defined
 */
struct xt_clone_info_v1 {
	__u32 kind;
	union {
		__u32 mark;
		char devices[XT_CLONE_MAX_DEVICES][IFNAMSIZ];
		char target[XT_CLONE_NAME_SIZE];
	};

	/* private: the kernel's */
	__aligned_u64 rule;
};

#endif /* _UAPI_XT_CLONE_H */
