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
	[NFKIT_NO_TARGET] = "no_target",
	[NFKIT_SAMPLED_OUT] = "sampled_out",
	[NFKIT_NO_ROUTE] = "no_route",
	[NFKIT_LOOP] = "loop",
	[NFKIT_UNROUTABLE] = "unroutable",
	[NFKIT_LOCAL] = "local",
	[NFKIT_SAME_DEVICE] = "same_device",
	[NFKIT_TOO_BIG] = "too_big",
	[NFKIT_QUEUE_FULL] = "queue_full",
	[NFKIT_NO_MEMORY] = "no_memory",
	[NFKIT_NO_HEADER] = "no_header",
	[NFKIT_UNRESOLVED] = "unresolved",
	[NFKIT_DEVICE_DOWN] = "device_down",
	[NFKIT_REFUSED] = "refused",
	[NFKIT_FLUSHED] = "flushed",
	[NFKIT_BYTES] = "bytes",
};

struct nfkit_counters __percpu *nfkit_counters_alloc(void)
{
	struct nfkit_counters __percpu *counters;
	int cpu;

	counters = alloc_percpu_gfp(struct nfkit_counters, GFP_KERNEL_ACCOUNT);
	if (!counters)
		return NULL;
	for_each_possible_cpu(cpu)
		u64_stats_init(&per_cpu_ptr(counters, cpu)->syncp);
	return counters;
}

static void nfkit_counters_sum(const struct nfkit_counters __percpu *percpu,
			       u64 sum[NFKIT_COUNTERS])
{
	u64 value[NFKIT_COUNTERS];
	unsigned int start, i;
	int cpu;

	memset(sum, 0, sizeof(value));
	for_each_possible_cpu(cpu) {
		const struct nfkit_counters *counters;

		counters = per_cpu_ptr(percpu, cpu);
		do {
			start = u64_stats_fetch_begin(&counters->syncp);
			for (i = 0; i < NFKIT_COUNTERS; i++)
				value[i] = u64_stats_read(&counters->value[i]);
		} while (u64_stats_fetch_retry(&counters->syncp, start));
		for (i = 0; i < NFKIT_COUNTERS; i++)
			sum[i] += value[i];
	}
}

void nfkit_counters_stats(const struct nfkit_counters __percpu *counters,
			  struct nfkit_stats *stats)
{
	u64 sum[NFKIT_COUNTERS];

	nfkit_counters_sum(counters, sum);
	*stats = (struct nfkit_stats) {
		.seen = sum[NFKIT_SEEN],
		.cloned = sum[NFKIT_CLONED],
		.sent = sum[NFKIT_SENT],
		.bytes = sum[NFKIT_BYTES],
		.no_target = sum[NFKIT_NO_TARGET],
		.sampled_out = sum[NFKIT_SAMPLED_OUT],
		.no_route = sum[NFKIT_NO_ROUTE],
		.loop = sum[NFKIT_LOOP],
		.unroutable = sum[NFKIT_UNROUTABLE],
		.local = sum[NFKIT_LOCAL],
		.same_device = sum[NFKIT_SAME_DEVICE],
		.too_big = sum[NFKIT_TOO_BIG],
		.queue_full = sum[NFKIT_QUEUE_FULL],
		.no_memory = sum[NFKIT_NO_MEMORY],
		.no_header = sum[NFKIT_NO_HEADER],
		.unresolved = sum[NFKIT_UNRESOLVED],
		.device_down = sum[NFKIT_DEVICE_DOWN],
		.refused = sum[NFKIT_REFUSED],
		.flushed = sum[NFKIT_FLUSHED],
	};
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
			nfkit_counters_sum(target->counters, sum);
			if (target->kind == XT_CLONE_MARK)
				seq_printf(seq, "mark:0x%x", target->mark);
			else
				seq_printf(seq, "%s:%s",
					   target->kind == XT_CLONE_TARGET ?
					   "target" : "dev", target->name);
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
