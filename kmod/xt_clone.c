// SPDX-License-Identifier: GPL-2.0
/* The target CLONE of iptables and ip6tables, legacy and nft. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/netfilter/x_tables.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "clone.h"
#include "compat.h"
#include "target.h"
#include "uapi/xt_CLONE.h"

/**
 * struct nfkit_rule - what a rule of revision 1 means
 * @count: how many targets it has
 * @targets: where its copies go
 */
struct nfkit_rule {
	unsigned int count;
	struct nfkit_target *targets[XT_CLONE_MAX_DEVICES];
};

static struct nfkit_rule *clone_rule(const struct xt_clone_info_v1 *info)
{
	return (struct nfkit_rule *)(unsigned long)info->rule;
}

static u8 clone_point(const struct xt_action_param *par)
{
	return NFKIT_POINT_RULE | par->state->hook;
}

/* nf_tables calls from process context at OUTPUT. */
static noinline unsigned int
clone_in_process(unsigned int (*target)(struct sk_buff *skb,
					const struct xt_action_param *par),
		 struct sk_buff *skb, const struct xt_action_param *par)
{
	unsigned int verdict;

	local_bh_disable();
	verdict = target(skb, par);
	local_bh_enable();
	return verdict;
}

static unsigned int clone_tg_v0(struct sk_buff *skb,
				const struct xt_action_param *par)
{
	const struct xt_clone_info *info = par->targinfo;
	struct nfkit_target *target;

	if (unlikely(!in_softirq()))
		return clone_in_process(clone_tg_v0, skb, par);
	target = nfkit_target_of_mark(nfkit_net(xt_net(par)), info->mark);
	if (target)
		nfkit_clone(target, skb, par->state, clone_point(par));
	return XT_CONTINUE;
}

static unsigned int clone_tg_v1(struct sk_buff *skb,
				const struct xt_action_param *par)
{
	const struct nfkit_rule *rule = clone_rule(par->targinfo);

	if (unlikely(!in_softirq()))
		return clone_in_process(clone_tg_v1, skb, par);
	if (likely(rule->count == 1))
		nfkit_clone(rule->targets[0], skb, par->state, clone_point(par));
	else
		nfkit_clone_devices(rule->targets, rule->count, skb, par->state);
	return XT_CONTINUE;
}

/*
 * This is a courtesy: a user chain of nf_tables has no hooks when its rules
 * are checked, so each packet is looked at too.
 */
static int clone_check_hooks(const struct xt_tgchk_param *par)
{
	if (par->hook_mask & (1 << NF_INET_PRE_ROUTING)) {
		pr_info_ratelimited("CLONE --mark: no packet has a route in PREROUTING; use INPUT, FORWARD, OUTPUT or POSTROUTING\n");
		return -EINVAL;
	}
	return 0;
}

static int clone_tg_check_v0(const struct xt_tgchk_param *par)
{
	const struct xt_clone_info *info = par->targinfo;
	struct nfkit_key key = { .kind = NFKIT_MARK, .mark = info->mark };
	int err = clone_check_hooks(par);

	if (err)
		return err;
	return PTR_ERR_OR_ZERO(nfkit_target_get_for(par->net, &key,
						    NFKIT_USER_RULE));
}

/* How many devices a rule names; 0 if they are not as they should be. */
static unsigned int clone_count_devices(const struct xt_clone_info_v1 *info)
{
	unsigned int count, i;

	for (count = 0; count < XT_CLONE_MAX_DEVICES; count++) {
		const char *name = info->devices[count];
		size_t len = strnlen(name, IFNAMSIZ);

		if (!len)
			break;
		if (len == IFNAMSIZ || memchr_inv(name + len, 0, IFNAMSIZ - len) ||
		    !dev_valid_name(name))
			return 0;
		for (i = 0; i < count; i++) {
			if (!strcmp(name, info->devices[i]))
				return 0;
		}
	}
	if (memchr_inv((const char *)info->devices + count * IFNAMSIZ, 0,
		       (XT_CLONE_MAX_DEVICES - count) * IFNAMSIZ))
		return 0;
	return count;
}

static void clone_free_rule(struct nfkit_rule *rule)
{
	while (rule->count)
		nfkit_target_put_for(rule->targets[--rule->count],
				     NFKIT_USER_RULE);
	kfree(rule);
}

static int clone_tg_check_v1(const struct xt_tgchk_param *par)
{
	struct xt_clone_info_v1 *info = par->targinfo;
	struct nfkit_key key = { .kind = NFKIT_MARK };
	struct nfkit_rule *rule;
	unsigned int count = 1;
	int err;

	switch (info->kind) {
	case XT_CLONE_MARK:
		if (memchr_inv((const char *)info->devices + sizeof(info->mark), 0,
			       sizeof(info->devices) - sizeof(info->mark)))
			return -EINVAL;
		err = clone_check_hooks(par);
		if (err)
			return err;
		key.mark = info->mark;
		break;
	case XT_CLONE_DEVICES:
		count = clone_count_devices(info);
		if (!count)
			return -EINVAL;
		key.kind = NFKIT_DEVICE;
		break;
	case XT_CLONE_TARGET:
		BUILD_BUG_ON(XT_CLONE_NAME_SIZE != NFKIT_NAME_SIZE);
		if (!nfkit_name_field_valid(info->target) ||
		    memchr_inv((const char *)info->devices + sizeof(info->target), 0,
			       sizeof(info->devices) - sizeof(info->target)))
			return -EINVAL;
		key.kind = NFKIT_NAMED;
		strscpy(key.name, info->target, sizeof(key.name));
		break;
	default:
		return -EINVAL;
	}

	rule = kzalloc(sizeof(*rule), GFP_KERNEL_ACCOUNT);
	if (!rule)
		return -ENOMEM;
	while (rule->count < count) {
		struct nfkit_target *target;

		if (key.kind == NFKIT_DEVICE)
			strscpy(key.device, info->devices[rule->count],
				sizeof(key.device));
		target = nfkit_target_get_for(par->net, &key, NFKIT_USER_RULE);
		if (IS_ERR(target)) {
			clone_free_rule(rule);
			return PTR_ERR(target);
		}
		rule->targets[rule->count++] = target;
	}
	info->rule = (unsigned long)rule;
	return 0;
}

static void clone_tg_destroy_v0(const struct xt_tgdtor_param *par)
{
	const struct xt_clone_info *info = par->targinfo;
	struct nfkit_target *target;

	/* It has this rule, so it does not go before it is found. */
	rcu_read_lock();
	target = nfkit_target_of_mark(nfkit_net(par->net), info->mark);
	rcu_read_unlock();
	nfkit_target_put_for(target, NFKIT_USER_RULE);
}

static void clone_tg_destroy_v1(const struct xt_tgdtor_param *par)
{
	const struct xt_clone_info_v1 *info = par->targinfo;

	clone_free_rule(clone_rule(info));
}

#define CLONE_V0(pf) {						\
	.name = "CLONE",					\
	.revision = 0,						\
	.family = (pf),						\
	.target = clone_tg_v0,					\
	.targetsize = sizeof(struct xt_clone_info),		\
	.checkentry = clone_tg_check_v0,			\
	.destroy = clone_tg_destroy_v0,				\
	.me = THIS_MODULE,					\
}

#define CLONE_V1(pf) {						\
	.name = "CLONE",					\
	.revision = 1,						\
	.family = (pf),						\
	.target = clone_tg_v1,					\
	.targetsize = sizeof(struct xt_clone_info_v1),		\
	.usersize = offsetof(struct xt_clone_info_v1, rule),	\
	.checkentry = clone_tg_check_v1,			\
	.destroy = clone_tg_destroy_v1,				\
	.me = THIS_MODULE,					\
}

static struct xt_target clone_tg_reg[] __read_mostly = {
	CLONE_V0(NFPROTO_IPV4),
	CLONE_V1(NFPROTO_IPV4),
#if IS_ENABLED(CONFIG_IPV6)
	CLONE_V0(NFPROTO_IPV6),
	CLONE_V1(NFPROTO_IPV6),
#endif
};

/* Copies that are sent at once may bring x_tables back to where it is now. */
int __init nfkit_xt_init(void)
{
	int err;

	static_key_slow_inc(&xt_tee_enabled);
	err = xt_register_targets(clone_tg_reg, ARRAY_SIZE(clone_tg_reg));
	if (err)
		static_key_slow_dec(&xt_tee_enabled);
	return err;
}

void nfkit_xt_exit(void)
{
	xt_unregister_targets(clone_tg_reg, ARRAY_SIZE(clone_tg_reg));
	static_key_slow_dec(&xt_tee_enabled);
}

MODULE_ALIAS("xt_CLONE");
MODULE_ALIAS("ipt_CLONE");
MODULE_ALIAS("ip6t_CLONE");
