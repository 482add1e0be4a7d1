// SPDX-License-Identifier: GPL-2.0
/* What commands of clone targets and of hooks have in common. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "nfkit.h"

/* Reads the name of an object that is to be deleted. */
int nfkit_delete_read(struct nfkit_delete *delete, const void __user *argument)
{
	u32 size;
	int err;

	err = nfkit_struct_read(delete, sizeof(*delete), sizeof(*delete),
				argument, &size);
	if (err)
		return err;
	return delete->reserved || !nfkit_name_field_valid(delete->name) ?
	       -EINVAL : 0;
}

/* Answers a list of objects, of which there are @most. */
int nfkit_list(struct nfkit_net *nn, void __user *argument, u32 most,
	       nfkit_names *names_of)
{
	struct nfkit_list list;
	u32 size, room;
	char *names;
	int err;

	err = nfkit_struct_read(&list, sizeof(list), sizeof(list), argument,
				&size);
	if (err)
		return err;
	if (!list.count && list.names)
		return -EINVAL;
	room = min(list.count, most);
	names = kvcalloc(max(room, 1U), NFKIT_NAME_SIZE, GFP_KERNEL);
	if (!names)
		return -ENOMEM;
	mutex_lock(&nn->lock);
	list.count = names_of(nn, names, room);
	mutex_unlock(&nn->lock);
	if (copy_to_user(u64_to_user_ptr(list.names), names,
			 min(list.count, room) * (size_t)NFKIT_NAME_SIZE))
		err = -EFAULT;
	else
		err = nfkit_struct_write(argument, &list, sizeof(list), size);
	kvfree(names);
	return err;
}
