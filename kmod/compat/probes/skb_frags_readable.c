// SPDX-License-Identifier: GPL-2.0
// Since 6.12, with TCP that receives into the memory of a device.
// absent: implicit declaration of function .skb_frags_readable
#include <linux/skbuff.h>

bool probe(const struct sk_buff *skb);
bool probe(const struct sk_buff *skb)
{
	return skb_frags_readable(skb);
}
