// SPDX-License-Identifier: GPL-2.0
// Until 6.16.
// absent: nf_skb_duplicated
#include <linux/netfilter.h>
#include <linux/percpu.h>

void probe(void);
void probe(void)
{
	__this_cpu_write(nf_skb_duplicated, true);
}
