// SPDX-License-Identifier: GPL-2.0
// Until IPv6 could no longer be a module; since then ip6_fragment is exported.
// absent: function .nf_get_ipv6_ops|assignment to .* from .int. makes pointer|makes pointer from
#include <linux/netfilter_ipv6.h>

const struct nf_ipv6_ops *probe(void);
const struct nf_ipv6_ops *probe(void)
{
	return nf_get_ipv6_ops();
}
