/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/* /dev/nfkit: what clone targets and hooks have in common. See nfkit.h. */
#ifndef _UAPI_NFKIT_OBJECT_H
#define _UAPI_NFKIT_OBJECT_H

#include <linux/types.h>

/* Names of objects, with the final NUL: A-Z a-z 0-9 _ - and dot. */
#define NFKIT_NAME_SIZE		32
/* Names of devices, with the final NUL (IFNAMSIZ). */
#define NFKIT_DEVICE_SIZE	16

/* Comes back: the object belongs to this descriptor. */
#define NFKIT_OWN			0x10000

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

#endif /* _UAPI_NFKIT_OBJECT_H */
