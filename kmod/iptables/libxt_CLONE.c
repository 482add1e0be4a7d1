// SPDX-License-Identifier: GPL-2.0
/*
 * The CLONE target for iptables and ip6tables, legacy and nft.
 *
 * There is no translation to nftables: no expression of it makes a copy that is marked and
 * routed anew. iptables-translate therefore shows the rule as a comment.
 */
#include <stdio.h>
#include <xtables.h>

#include "xt_CLONE.h"

enum {
	O_MARK,
};

static const struct xt_option_entry clone_opts[] = {
	{
		.name	= "mark",
		.id	= O_MARK,
		.type	= XTTYPE_UINT32,
		.flags	= XTOPT_MAND | XTOPT_PUT,
		XTOPT_POINTER(struct xt_clone_info, mark),
	},
	XTOPT_TABLEEND,
};

static void clone_help(void)
{
	printf("CLONE target options:\n"
	       "  --mark value    Mark of the copy, by which policy rules route it (required)\n");
}

static void clone_save(const void *ip, const struct xt_entry_target *target)
{
	const struct xt_clone_info *info = (const void *)target->data;

	printf(" --mark 0x%x", info->mark);
}

static void clone_print(const void *ip, const struct xt_entry_target *target,
			int numeric)
{
	const struct xt_clone_info *info = (const void *)target->data;

	printf(" CLONE mark 0x%x", info->mark);
}

static struct xtables_target clone_target = {
	.version	= XTABLES_VERSION,
	.name		= "CLONE",
	.revision	= 0,
	.family		= NFPROTO_UNSPEC,
	.size		= XT_ALIGN(sizeof(struct xt_clone_info)),
	.userspacesize	= XT_ALIGN(sizeof(struct xt_clone_info)),
	.help		= clone_help,
	.x6_parse	= xtables_option_parse,
	.print		= clone_print,
	.save		= clone_save,
	.x6_options	= clone_opts,
};

static void __attribute__((constructor)) clone_init(void)
{
	xtables_register_target(&clone_target);
}
