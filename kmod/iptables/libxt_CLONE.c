// SPDX-License-Identifier: GPL-2.0
/*
 * The CLONE target for iptables and ip6tables, legacy and nft.
 *
 * Revision 1 takes what revision 0 takes, since iptables uses the newest that the kernel has.
 *
 * There is no translation to nftables: its dup sends copies to a gateway that it is told, or
 * from the family netdev by one device, but none by a mark, by several devices from where IP
 * packets are, or by what a program says. iptables-translate therefore shows the rule as a
 * comment; iptables-nft takes it as iptables-legacy does.
 */
#include <ctype.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <xtables.h>

#include "xt_CLONE.h"

enum {
	O_MARK,
	O_DEV,
	O_TARGET,
	F_MARK = 1 << O_MARK,
	F_DEV = 1 << O_DEV,
	F_TARGET = 1 << O_TARGET,
};

static const struct xt_option_entry clone_opts_v0[] = {
	{
		.name	= "mark",
		.id	= O_MARK,
		.type	= XTTYPE_UINT32,
		.flags	= XTOPT_MAND | XTOPT_PUT,
		XTOPT_POINTER(struct xt_clone_info, mark),
	},
	XTOPT_TABLEEND,
};

static const struct xt_option_entry clone_opts_v1[] = {
	{
		.name	= "mark",
		.id	= O_MARK,
		.type	= XTTYPE_UINT32,
		.flags	= XTOPT_PUT,
		.excl	= F_DEV | F_TARGET,
		XTOPT_POINTER(struct xt_clone_info_v1, mark),
	},
	{
		.name	= "dev",
		.id	= O_DEV,
		.type	= XTTYPE_STRING,
		.excl	= F_MARK | F_TARGET,
	},
	{
		.name	= "target",
		.id	= O_TARGET,
		.type	= XTTYPE_STRING,
		.excl	= F_MARK | F_DEV,
	},
	XTOPT_TABLEEND,
};

static void clone_help_v0(void)
{
	printf("CLONE target options:\n"
	       "  --mark value    Mark of the copy, by which policy rules route it (required)\n");
}

static void clone_help_v1(void)
{
	printf("CLONE target options:\n"
	       "  --mark value            Mark of the copy, by which policy rules route it\n"
	       "  --dev name[,name...]    Up to 8 devices that send the copy, with its MAC header\n"
	       "  --target name           Clone target that says where copies go, see /dev/nfkit\n"
	       "One of them is required\n");
}

static int clone_is_device(const char *name, size_t length)
{
	size_t i;

	if (length == 0 || length >= IFNAMSIZ)
		return 0;
	if (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')))
		return 0;
	for (i = 0; i < length; i++) {
		if (name[i] == '/' || name[i] == ':' || isspace((unsigned char)name[i]))
			return 0;
	}
	return 1;
}

/* Whether a list of devices begins with this one. */
static int clone_is_listed(const char *list, const char *end, const char *name, size_t length)
{
	while (list < end) {
		size_t other = strcspn(list, ",");

		if (other == length && memcmp(list, name, length) == 0)
			return 1;
		list += other + 1;
	}
	return 0;
}

static void clone_parse_devices(struct xt_clone_info_v1 *info, const char *list)
{
	const char *name = list;
	unsigned int count = 0;

	for (;; name++) {
		size_t length = strcspn(name, ",");

		if (!clone_is_device(name, length))
			xtables_error(PARAMETER_PROBLEM,
				      "CLONE: --dev takes names of devices with commas between them, not \"%s\"",
				      list);
		if (clone_is_listed(list, name, name, length))
			xtables_error(PARAMETER_PROBLEM,
				      "CLONE: --dev names a device twice: \"%s\"", list);
		if (count == XT_CLONE_MAX_DEVICES)
			xtables_error(PARAMETER_PROBLEM,
				      "CLONE: --dev takes up to %d devices",
				      XT_CLONE_MAX_DEVICES);
		memcpy(info->devices[count++], name, length);
		name += length;
		if (*name == '\0')
			return;
	}
}

/* A-Z a-z 0-9 _ - and dot, whatever the locale. */
static void clone_parse_target(struct xt_clone_info_v1 *info, const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
	size_t length = strlen(name);

	if (length == 0 || length >= XT_CLONE_NAME_SIZE ||
	    strspn(name, allowed) != length)
		xtables_error(PARAMETER_PROBLEM,
			      "CLONE: --target takes 1 to %d characters of A-Z a-z 0-9 _ - and dot, not \"%s\"",
			      XT_CLONE_NAME_SIZE - 1, name);
	memcpy(info->target, name, length);
}

static void clone_parse_v1(struct xt_option_call *cb)
{
	struct xt_clone_info_v1 *info = cb->data;

	xtables_option_parse(cb);
	if (cb->entry->id == O_DEV) {
		info->kind = XT_CLONE_DEVICES;
		clone_parse_devices(info, cb->arg);
	} else if (cb->entry->id == O_TARGET) {
		info->kind = XT_CLONE_TARGET;
		clone_parse_target(info, cb->arg);
	}
}

static void clone_check_v1(struct xt_fcheck_call *cb)
{
	if (!(cb->xflags & (F_MARK | F_DEV | F_TARGET)))
		xtables_error(PARAMETER_PROBLEM,
			      "CLONE: --mark, --dev or --target is required");
}

static void clone_save_v0(const void *ip, const struct xt_entry_target *target)
{
	const struct xt_clone_info *info = (const void *)target->data;

	printf(" --mark 0x%x", info->mark);
}

static void clone_print_v0(const void *ip, const struct xt_entry_target *target,
			   int numeric)
{
	const struct xt_clone_info *info = (const void *)target->data;

	printf(" CLONE mark 0x%x", info->mark);
}

static void clone_show_v1(const struct xt_clone_info_v1 *info, const char *dashes)
{
	unsigned int i;

	if (info->kind == XT_CLONE_MARK) {
		printf(" %smark 0x%x", dashes, info->mark);
		return;
	}
	if (info->kind == XT_CLONE_TARGET) {
		printf(" %starget %.*s", dashes, XT_CLONE_NAME_SIZE, info->target);
		return;
	}
	printf(" %sdev ", dashes);
	for (i = 0; i < XT_CLONE_MAX_DEVICES && info->devices[i][0] != '\0'; i++)
		printf("%s%.*s", i == 0 ? "" : ",", IFNAMSIZ, info->devices[i]);
}

static void clone_save_v1(const void *ip, const struct xt_entry_target *target)
{
	clone_show_v1((const void *)target->data, "--");
}

static void clone_print_v1(const void *ip, const struct xt_entry_target *target,
			   int numeric)
{
	printf(" CLONE");
	clone_show_v1((const void *)target->data, "");
}

#define CLONE_TARGETS	2

static struct xtables_target clone_targets[CLONE_TARGETS] = {
	{
		.version	= XTABLES_VERSION,
		.name		= "CLONE",
		.revision	= 0,
		.family		= NFPROTO_UNSPEC,
		.size		= XT_ALIGN(sizeof(struct xt_clone_info)),
		.userspacesize	= XT_ALIGN(sizeof(struct xt_clone_info)),
		.help		= clone_help_v0,
		.x6_parse	= xtables_option_parse,
		.print		= clone_print_v0,
		.save		= clone_save_v0,
		.x6_options	= clone_opts_v0,
	},
	{
		.version	= XTABLES_VERSION,
		.name		= "CLONE",
		.revision	= 1,
		.family		= NFPROTO_UNSPEC,
		.size		= XT_ALIGN(sizeof(struct xt_clone_info_v1)),
		.userspacesize	= offsetof(struct xt_clone_info_v1, rule),
		.help		= clone_help_v1,
		.x6_parse	= clone_parse_v1,
		.x6_fcheck	= clone_check_v1,
		.print		= clone_print_v1,
		.save		= clone_save_v1,
		.x6_options	= clone_opts_v1,
	},
};

static void __attribute__((constructor)) clone_init(void)
{
	size_t i;

	for (i = 0; i < CLONE_TARGETS; i++)
		xtables_register_target(&clone_targets[i]);
}
