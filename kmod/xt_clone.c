// SPDX-License-Identifier: GPL-2.0
/* The target CLONE of iptables and ip6tables, legacy and nft. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/netfilter/x_tables.h>
#include <linux/string.h>

#include "nfkit.h"

static unsigned int clone_tg0(struct sk_buff *skb,
			      const struct xt_action_param *par)
{
	const struct xt_clone_info *info = par->targinfo;
	struct nfkit_target *target;

	/* nf_tables calls from process context at OUTPUT. */
	local_bh_disable();
	target = nfkit_target_find(nfkit_net(xt_net(par)), info->mark);
	if (target)
		nfkit_clone(target, skb, par->state);
	local_bh_enable();
	return XT_CONTINUE;
}

/*
 * This is a courtesy: a user chain of nf_tables has no hooks when its rules
 * are checked, so each packet is looked at too.
 */
static int clone_tg_check_mark(const struct xt_tgchk_param *par)
{
	if (par->hook_mask & (1 << NF_INET_PRE_ROUTING)) {
		pr_info_ratelimited("CLONE --mark: no packet has a route in PREROUTING; use INPUT, FORWARD, OUTPUT or POSTROUTING\n");
		return -EINVAL;
	}
	return 0;
}

static int clone_tg0_check(const struct xt_tgchk_param *par)
{
	const struct xt_clone_info *info = par->targinfo;
	struct nfkit_target *target;
	int err;

	err = clone_tg_check_mark(par);
	if (err)
		return err;
	target = nfkit_target_get(par->net, XT_CLONE_MARK, info->mark, "");
	return PTR_ERR_OR_ZERO(target);
}

static void clone_tg0_destroy(const struct xt_tgdtor_param *par)
{
	const struct xt_clone_info *info = par->targinfo;
	struct nfkit_net *nn = nfkit_net(par->net);
	struct nfkit_target *target;

	/* The rule keeps it. */
	rcu_read_lock();
	target = nfkit_target_find(nn, info->mark);
	rcu_read_unlock();
	nfkit_target_put(target);
}

static unsigned int clone_tg1(struct sk_buff *skb,
			      const struct xt_action_param *par)
{
	const struct xt_clone_info_v1 *info = par->targinfo;

	local_bh_disable();
	nfkit_clone(info->target, skb, par->state);
	local_bh_enable();
	return XT_CONTINUE;
}

static int clone_tg1_check(const struct xt_tgchk_param *par)
{
	struct xt_clone_info_v1 *info = par->targinfo;
	size_t length = strnlen(info->name, sizeof(info->name));
	struct nfkit_target *target;
	int err;

	if (length == sizeof(info->name) ||
	    memchr_inv(info->name + length, 0, sizeof(info->name) - length))
		return -EINVAL;
	switch (info->kind) {
	case XT_CLONE_MARK:
		if (length)
			return -EINVAL;
		err = clone_tg_check_mark(par);
		if (err)
			return err;
		break;
	case XT_CLONE_TARGET:
		if (info->mark || !nfkit_target_name_valid(info->name))
			return -EINVAL;
		break;
	case XT_CLONE_DEVICES:
		if (info->mark)
			return -EINVAL;
		if (par->hook_mask & (1 << NF_INET_LOCAL_OUT)) {
			pr_info_ratelimited("CLONE --dev: no packet has a MAC header in OUTPUT; use PREROUTING, INPUT or FORWARD\n");
			return -EINVAL;
		}
		break;
	default:
		return -EINVAL;
	}
	target = nfkit_target_get(par->net, info->kind, info->mark, info->name);
	if (IS_ERR(target))
		return PTR_ERR(target);
	info->target = target;
	return 0;
}

static void clone_tg1_destroy(const struct xt_tgdtor_param *par)
{
	const struct xt_clone_info_v1 *info = par->targinfo;

	nfkit_target_put(info->target);
}

#define CLONE_TG0(_family) {					\
	.name = "CLONE",					\
	.revision = 0,						\
	.family = (_family),					\
	.target = clone_tg0,					\
	.targetsize = sizeof(struct xt_clone_info),		\
	.checkentry = clone_tg0_check,				\
	.destroy = clone_tg0_destroy,				\
	.me = THIS_MODULE,					\
}

#define CLONE_TG1(_family) {					\
	.name = "CLONE",					\
	.revision = 1,						\
	.family = (_family),					\
	.target = clone_tg1,					\
	.targetsize = sizeof(struct xt_clone_info_v1),		\
	.usersize = offsetof(struct xt_clone_info_v1, target),	\
	.checkentry = clone_tg1_check,				\
	.destroy = clone_tg1_destroy,				\
	.me = THIS_MODULE,					\
}

static struct xt_target clone_tg_reg[] __read_mostly = {
	CLONE_TG0(NFPROTO_IPV4),
	CLONE_TG1(NFPROTO_IPV4),
#if IS_ENABLED(CONFIG_IPV6)
	CLONE_TG0(NFPROTO_IPV6),
	CLONE_TG1(NFPROTO_IPV6),
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
