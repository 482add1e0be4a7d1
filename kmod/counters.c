// SPDX-License-Identifier: GPL-2.0
/* /proc/net/nfkit: a line of names, then one line for each target of the namespace. */
#include <linux/percpu.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>

#include "nfkit.h"

static const char * const nfkit_counter_names[NFKIT_COUNTERS] = {
	[NFKIT_SEEN] = "seen",
	[NFKIT_CLONED] = "cloned",
	[NFKIT_SENT] = "sent",
	[NFKIT_NO_ROUTE] = "no_route",
	[NFKIT_LOOP] = "loop",
	[NFKIT_NO_DEVICE] = "no_device",
	[NFKIT_UNROUTABLE] = "unroutable",
	[NFKIT_LOCAL] = "local",
	[NFKIT_SAME_DEVICE] = "same_device",
	[NFKIT_TOO_BIG] = "too_big",
	[NFKIT_QUEUE_FULL] = "queue_full",
	[NFKIT_NO_MEMORY] = "no_memory",
	[NFKIT_UNRESOLVED] = "unresolved",
	[NFKIT_DEVICE_DOWN] = "device_down",
	[NFKIT_REFUSED] = "refused",
	[NFKIT_FLUSHED] = "flushed",
};

static void nfkit_counters_sum(const struct nfkit_target *target,
			       u64 sum[NFKIT_COUNTERS])
{
	u64 value[NFKIT_COUNTERS];
	unsigned int start, i;
	int cpu;

	memset(sum, 0, sizeof(value));
	for_each_possible_cpu(cpu) {
		const struct nfkit_counters *counters;

		counters = per_cpu_ptr(target->counters, cpu);
		do {
			start = u64_stats_fetch_begin(&counters->syncp);
			for (i = 0; i < NFKIT_COUNTERS; i++)
				value[i] = u64_stats_read(&counters->value[i]);
		} while (u64_stats_fetch_retry(&counters->syncp, start));
		for (i = 0; i < NFKIT_COUNTERS; i++)
			sum[i] += value[i];
	}
}

static int nfkit_counters_show(struct seq_file *seq, void *unused)
{
	struct nfkit_net *nn = nfkit_net(seq_file_single_net(seq));
	struct nfkit_target *target;
	u64 sum[NFKIT_COUNTERS];
	unsigned int bucket, i;

	seq_puts(seq, "target");
	for (i = 0; i < NFKIT_COUNTERS; i++)
		seq_printf(seq, " %s", nfkit_counter_names[i]);
	seq_putc(seq, '\n');

	mutex_lock(&nn->lock);
	for (bucket = 0; bucket < ARRAY_SIZE(nn->targets); bucket++) {
		hlist_for_each_entry(target, &nn->targets[bucket], node) {
			nfkit_counters_sum(target, sum);
			if (target->key.kind == NFKIT_MARK)
				seq_printf(seq, "mark:0x%x", target->key.mark);
			else
				seq_printf(seq, "dev:%s", target->key.device);
			for (i = 0; i < NFKIT_COUNTERS; i++)
				seq_printf(seq, " %llu", sum[i]);
			seq_putc(seq, '\n');
		}
	}
	mutex_unlock(&nn->lock);
	return 0;
}

int nfkit_counters_init_net(struct net *net)
{
	if (!proc_create_net_single("nfkit", 0444, net->proc_net,
				    nfkit_counters_show, NULL))
		return -ENOMEM;
	return 0;
}

void nfkit_counters_exit_net(struct net *net)
{
	remove_proc_entry("nfkit", net->proc_net);
}
