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

#endif /* _UAPI_XT_CLONE_H */
