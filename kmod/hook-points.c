// SPDX-License-Identifier: GPL-2.0
/* Which hooks there can be: the matrix at enum nfkit_point in uapi/nfkit_hook.h. */
#include <linux/bits.h>
#include <linux/netfilter.h>
#include <linux/netfilter_bridge.h>
#include <linux/string.h>

#include "hook.h"

#define IN		BIT(NFKIT_HOOK_IN)
#define OUT		BIT(NFKIT_HOOK_OUT)
#define PHYSIN		BIT(NFKIT_HOOK_PHYSIN)
#define PHYSOUT		BIT(NFKIT_HOOK_PHYSOUT)

/* The kernel warns about NF_QUEUE at the points of a device. */
#define VERDICTS_DEVICE						\
	(BIT(NFKIT_VERDICT_ACCEPT) | BIT(NFKIT_VERDICT_DROP) |	\
	 BIT(NFKIT_VERDICT_REDIRECT) | BIT(NFKIT_VERDICT_REPEAT))
#define VERDICTS_ALL	(VERDICTS_DEVICE | BIT(NFKIT_VERDICT_QUEUE))

#define IP_POINT(number, ...) {					\
	.pf = NFPROTO_UNSPEC,					\
	.hook = (number),					\
	.verdicts = VERDICTS_ALL,				\
	__VA_ARGS__						\
}

#define BRIDGE_POINT(number, devices) {				\
	.pf = NFPROTO_BRIDGE,					\
	.hook = (number),					\
	.may = (devices),					\
	.verdicts = VERDICTS_ALL,				\
	.ethernet = true,					\
	.absent = !IS_ENABLED(CONFIG_NETFILTER_FAMILY_BRIDGE),	\
}

#define DEVICE_POINT(number, device, present) {			\
	.pf = NFPROTO_NETDEV,					\
	.hook = (number),					\
	.must = (device),					\
	.verdicts = VERDICTS_DEVICE,				\
	.ethernet = true,					\
	.absent = !(present),					\
}

/* The option and the number came together, in 5.16. */
#ifdef CONFIG_NETFILTER_EGRESS
#define EGRESS		NF_NETDEV_EGRESS
#else
#define EGRESS		0
#endif

static const struct nfkit_point_row nfkit_points[] = {
	[NFKIT_POINT_PREROUTING] =
		IP_POINT(NF_INET_PRE_ROUTING, .may = IN | PHYSIN,
			 .ethernet = true),
	[NFKIT_POINT_LOCAL_IN] =
		IP_POINT(NF_INET_LOCAL_IN, .may = IN | PHYSIN,
			 .ethernet = true, .routes = true),
	[NFKIT_POINT_FORWARD] =
		IP_POINT(NF_INET_FORWARD, .may = IN | OUT | PHYSIN | PHYSOUT,
			 .ethernet = true, .routes = true),
	[NFKIT_POINT_LOCAL_OUT] =
		IP_POINT(NF_INET_LOCAL_OUT, .may = OUT, .routes = true),
	[NFKIT_POINT_POSTROUTING] =
		IP_POINT(NF_INET_POST_ROUTING, .may = OUT | PHYSOUT,
			 .routes = true),
	[NFKIT_POINT_BRIDGE_PREROUTING] =
		BRIDGE_POINT(NF_BR_PRE_ROUTING, IN),
	[NFKIT_POINT_BRIDGE_LOCAL_IN] = BRIDGE_POINT(NF_BR_LOCAL_IN, IN),
	[NFKIT_POINT_BRIDGE_FORWARD] = BRIDGE_POINT(NF_BR_FORWARD, IN | OUT),
	[NFKIT_POINT_BRIDGE_LOCAL_OUT] = BRIDGE_POINT(NF_BR_LOCAL_OUT, OUT),
	[NFKIT_POINT_BRIDGE_POSTROUTING] =
		BRIDGE_POINT(NF_BR_POST_ROUTING, OUT),
	[NFKIT_POINT_INGRESS] =
		DEVICE_POINT(NF_NETDEV_INGRESS, IN,
			     IS_ENABLED(CONFIG_NETFILTER_INGRESS)),
	[NFKIT_POINT_EGRESS] =
		DEVICE_POINT(EGRESS, OUT,
			     IS_ENABLED(CONFIG_NETFILTER_EGRESS)),
};

/* NULL: there is no such point. */
const struct nfkit_point_row *nfkit_point_row(u8 point)
{
	return point < ARRAY_SIZE(nfkit_points) ? &nfkit_points[point] : NULL;
}

/* NFKIT_FEATURE_HOOKS*, for nfkit_info. */
u64 nfkit_hook_features(void)
{
	u64 features = NFKIT_FEATURE_HOOKS;

	if (!nfkit_points[NFKIT_POINT_BRIDGE_PREROUTING].absent)
		features |= NFKIT_FEATURE_HOOKS_BRIDGE;
	if (!nfkit_points[NFKIT_POINT_INGRESS].absent)
		features |= NFKIT_FEATURE_HOOKS_INGRESS;
	if (!nfkit_points[NFKIT_POINT_EGRESS].absent)
		features |= NFKIT_FEATURE_HOOKS_EGRESS;
	return features;
}

/* Empty: any device. */
const char *nfkit_hook_device_name(const struct nfkit_hook_set *set,
				   enum nfkit_hook_device which)
{
	switch (which) {
	case NFKIT_HOOK_IN:
		return set->in;
	case NFKIT_HOOK_OUT:
		return set->out;
	case NFKIT_HOOK_PHYSIN:
		return set->physin;
	default:
		return set->physout;
	}
}

static bool nfkit_hook_devices_valid(const struct nfkit_hook_set *set,
				     const struct nfkit_point_row *row)
{
	unsigned int which;

	for (which = 0; which < NFKIT_HOOK_DEVICES; which++) {
		const char *name = nfkit_hook_device_name(set, which);

		if (!memchr_inv(name, 0, NFKIT_DEVICE_SIZE)) {
			if (row->must & BIT(which))
				return false;
		} else if (!((row->may | row->must) & BIT(which)) ||
			   !nfkit_device_field_valid(name)) {
			return false;
		}
	}
	return true;
}

static bool nfkit_hook_family_valid(const struct nfkit_hook_set *set,
				    const struct nfkit_point_row *row)
{
	if (row->pf != NFPROTO_UNSPEC)
		return !set->family;
	return set->family &&
	       !(set->family & ~(NFKIT_FAMILY_IPV4 | NFKIT_FAMILY_IPV6));
}

static bool nfkit_hook_target_valid(const struct nfkit_hook_set *set)
{
	if (!memchr_inv(set->target, 0, sizeof(set->target)))
		return set->verdict != NFKIT_VERDICT_REDIRECT;
	return set->verdict != NFKIT_VERDICT_REPEAT &&
	       nfkit_name_field_valid(set->target);
}

static bool nfkit_hook_verdict_valid(const struct nfkit_hook_set *set,
				     const struct nfkit_point_row *row)
{
	bool queue = set->verdict == NFKIT_VERDICT_QUEUE;
	bool redirect = set->verdict == NFKIT_VERDICT_REDIRECT;
	bool repeat = set->verdict == NFKIT_VERDICT_REPEAT;

	if (set->verdict > NFKIT_VERDICT_REPEAT ||
	    !(row->verdicts & BIT(set->verdict)))
		return false;
	if (set->queue > (queue ? U16_MAX : 0) ||
	    (set->flags & NFKIT_HOOK_BYPASS && !queue) ||
	    (set->flags & NFKIT_HOOK_FAIL_DROP && !redirect))
		return false;
	if (!(set->flags & NFKIT_HOOK_MARK) &&
	    (set->mark || set->mark_mask || repeat))
		return false;
	if (repeat ? !set->repeat || set->repeat > NFKIT_MAX_REPEAT :
		     set->repeat)
		return false;
	return nfkit_hook_target_valid(set);
}

static bool nfkit_hook_program_valid(const struct nfkit_hook_set *set,
				     const struct nfkit_point_row *row)
{
	if (!set->instruction_count)
		return !set->link && !set->instructions &&
		       !(set->flags & NFKIT_HOOK_UNDECIDED);
	return set->instruction_count <= NFKIT_MAX_INSTRUCTIONS &&
	       (set->link == NFKIT_LINK_RAW ||
		(set->link == NFKIT_LINK_EN10MB && row->ethernet));
}

/* All but what only the kernel knows of the program. */
bool nfkit_hook_set_valid(const struct nfkit_hook_set *set)
{
	const struct nfkit_point_row *row = nfkit_point_row(set->point);

	return row && !set->reserved &&
	       !(set->flags & ~(NFKIT_HOOK_PERSISTENT | NFKIT_HOOK_CREATE |
				NFKIT_HOOK_BYPASS | NFKIT_HOOK_FAIL_DROP |
				NFKIT_HOOK_MARK | NFKIT_HOOK_UNDECIDED)) &&
	       nfkit_name_field_valid(set->name) &&
	       nfkit_hook_family_valid(set, row) &&
	       nfkit_hook_devices_valid(set, row) &&
	       nfkit_hook_verdict_valid(set, row) &&
	       nfkit_hook_program_valid(set, row);
}
