// SPDX-License-Identifier: GPL-2.0
/* The structs of commands: their sizes, and names in them. */
#include <linux/ctype.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "nfkit.h"

/*
 * Reads a struct that begins with its size, which is answered. A first version
 * has @first bytes.
 */
int nfkit_struct_read(void *into, size_t known, size_t first,
		      const void __user *from, u32 *size)
{
	int err;

	if (get_user(*size, (const u32 __user *)from))
		return -EFAULT;
	if (*size < first)
		return -EINVAL;
	if (*size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(into, known, from, *size);
	if (err)
		return err;
	/* It could have changed meanwhile, and is told to the caller. */
	*(u32 *)into = known;
	return 0;
}

int nfkit_struct_write(void __user *to, const void *what, size_t known, u32 size)
{
	return copy_to_user(to, what, min_t(size_t, known, size)) ? -EFAULT : 0;
}

/* The bytes of a name: valid, and nothing but zeros behind. */
bool nfkit_name_field_valid(const char name[NFKIT_NAME_SIZE])
{
	size_t length = strnlen(name, NFKIT_NAME_SIZE);
	size_t i;

	if (!length || length == NFKIT_NAME_SIZE ||
	    memchr_inv(name + length, 0, NFKIT_NAME_SIZE - length))
		return false;
	for (i = 0; i < length; i++) {
		if (!isascii(name[i]) ||
		    (!isalnum(name[i]) && !strchr("_-.", name[i])))
			return false;
	}
	return true;
}

bool nfkit_device_field_valid(const char name[NFKIT_DEVICE_SIZE])
{
	size_t length = strnlen(name, NFKIT_DEVICE_SIZE);

	BUILD_BUG_ON(NFKIT_DEVICE_SIZE != IFNAMSIZ);
	return length < NFKIT_DEVICE_SIZE && dev_valid_name(name) &&
	       !memchr_inv(name + length, 0, NFKIT_DEVICE_SIZE - length);
}
