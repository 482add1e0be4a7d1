/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_XT_CLONE_H
#define _UAPI_XT_CLONE_H

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

/* What a rule of revision 1 names. */
#define XT_CLONE_MARK		0
#define XT_CLONE_TARGET		1
#define XT_CLONE_DEVICES	2

/* Eight names of devices with commas between them. */
#define XT_CLONE_NAME_SIZE	128

/**
 * struct xt_clone_info_v1 - revision 1 of the CLONE target
 * @kind: XT_CLONE_MARK, _TARGET or _DEVICES
 * @mark: with XT_CLONE_MARK, as in revision 0; else 0
 * @name: with XT_CLONE_TARGET the name of a clone target of /dev/nfkit (31
 *	bytes), with XT_CLONE_DEVICES those of up to 8 devices with commas between
 *	them; NUL-terminated, zeros behind
 * @target: the kernel's own
 * @target_space: makes it as large for 32-bit programs
 */
struct xt_clone_info_v1 {
	__u32 kind;
	__u32 mark;
	char name[XT_CLONE_NAME_SIZE];

	/* Used internally by the kernel */
	union {
		struct nfkit_target *target;
		__aligned_u64 target_space;
	};
};

#endif /* _UAPI_XT_CLONE_H */
