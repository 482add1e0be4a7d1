// SPDX-License-Identifier: GPL-2.0
/* The target CLONE of iptables and ip6tables, legacy and nft. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/netfilter/x_tables.h>

#include "nfkit.h"
#include "uapi/xt_CLONE.h"

static unsigned int clone_tg(struct sk_buff *skb,
			     const struct xt_action_param *par)
{
	const struct xt_clone_info *info = par->targinfo;
	struct nfkit_target *target;

	/* nf_tables calls from process context at OUTPUT. */
	local_bh_disable();
	target = nfkit_target_find(nfkit_net(xt_net(par)), info->mark);
	if (target)
		nfkit_reroute(target, skb, par->state);
	local_bh_enable();
	return XT_CONTINUE;
}

/*
 * This is a courtesy: a user chain of nf_tables has no hooks when its rules
 * are checked, so each packet is looked at too.
 */
static int clone_tg_check(const struct xt_tgchk_param *par)
{
	const struct xt_clone_info *info = par->targinfo;

	if (par->hook_mask & (1 << NF_INET_PRE_ROUTING)) {
		pr_info_ratelimited("CLONE --mark: no packet has a route in PREROUTING; use INPUT, FORWARD, OUTPUT or POSTROUTING\n");
		return -EINVAL;
	}
	return nfkit_target_get(nfkit_net(par->net), info->mark) ? 0 : -ENOMEM;
}

static void clone_tg_destroy(const struct xt_tgdtor_param *par)
{
	const struct xt_clone_info *info = par->targinfo;

	nfkit_target_put(nfkit_net(par->net), info->mark);
}

static struct xt_target clone_tg_reg[] __read_mostly = {
	{
		.name = "CLONE",
		.revision = 0,
		.family = NFPROTO_IPV4,
		.target = clone_tg,
		.targetsize = sizeof(struct xt_clone_info),
		.checkentry = clone_tg_check,
		.destroy = clone_tg_destroy,
		.me = THIS_MODULE,
	},
#if IS_ENABLED(CONFIG_IPV6)
	{
		.name = "CLONE",
		.revision = 0,
		.family = NFPROTO_IPV6,
		.target = clone_tg,
		.targetsize = sizeof(struct xt_clone_info),
		.checkentry = clone_tg_check,
		.destroy = clone_tg_destroy,
		.me = THIS_MODULE,
	},
#endif
};

int __init nfkit_xt_init(void)
{
	return xt_register_targets(clone_tg_reg, ARRAY_SIZE(clone_tg_reg));
}

void nfkit_xt_exit(void)
{
	xt_unregister_targets(clone_tg_reg, ARRAY_SIZE(clone_tg_reg));
}

MODULE_ALIAS("xt_CLONE");
MODULE_ALIAS("ipt_CLONE");
MODULE_ALIAS("ip6t_CLONE");
