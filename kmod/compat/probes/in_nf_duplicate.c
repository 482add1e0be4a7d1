// SPDX-License-Identifier: GPL-2.0
// Since 6.17, where the kernel can duplicate packets.
// absent: has no member named .in_nf_duplicate
#include <linux/sched.h>

void probe(void);
void probe(void)
{
	current->in_nf_duplicate = true;
}
