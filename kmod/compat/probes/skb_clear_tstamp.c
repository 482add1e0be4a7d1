// SPDX-License-Identifier: GPL-2.0
// Since 5.18.
// absent: implicit declaration of function .skb_clear_tstamp
#include <linux/skbuff.h>

void probe(struct sk_buff *skb);
void probe(struct sk_buff *skb)
{
	skb_clear_tstamp(skb);
}
