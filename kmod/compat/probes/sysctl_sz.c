// SPDX-License-Identifier: GPL-2.0
// Since 6.6; before, register_net_sysctl counted up to an empty entry.
// absent: function .register_net_sysctl_sz|makes pointer from integer without a cast
#include <linux/sysctl.h>
#include <net/net_namespace.h>

struct ctl_table_header *probe(struct net *net, struct ctl_table *table);
struct ctl_table_header *probe(struct net *net, struct ctl_table *table)
{
	return register_net_sysctl_sz(net, "net/nfkit", table, 1);
}
