// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/net/nfkit: a line of names, then one line for each target of the
 * namespace, and for its outputs.
 */
#include <linux/percpu.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>

#include "target.h"

static const char * const nfkit_counter_names[NFKIT_COUNTERS] = {
	[NFKIT_SEEN] = "seen",
	[NFKIT_CLONED] = "cloned",
	[NFKIT_SENT] = "sent",
	[NFKIT_BYTES] = "bytes",
	[NFKIT_QUEUED] = "queued",
	[NFKIT_NO_TARGET] = "no_target",
	[NFKIT_SAMPLED_OUT] = "sampled_out",
	[NFKIT_LIMITED] = "limited",
	[NFKIT_NO_ROUTE] = "no_route",
	[NFKIT_LOOP] = "loop",
	[NFKIT_NO_DEVICE] = "no_device",
	[NFKIT_UNROUTABLE] = "unroutable",
	[NFKIT_LOCAL] = "local",
	[NFKIT_SAME_DEVICE] = "same_device",
	[NFKIT_TOO_BIG] = "too_big",
	[NFKIT_QUEUE_FULL] = "queue_full",
	[NFKIT_NO_MEMORY] = "no_memory",
	[NFKIT_NO_READER] = "no_reader",
	[NFKIT_BUFFER_FULL] = "buffer_full",
	[NFKIT_UNRESOLVED] = "unresolved",
	[NFKIT_DEVICE_DOWN] = "device_down",
	[NFKIT_REFUSED] = "refused",
	[NFKIT_FLUSHED] = "flushed",
	[NFKIT_DROPPED_OLDEST] = "dropped_oldest",
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

/* Adds those of one CPU, NFKIT_COUNTERS at most, which may count meanwhile. */
void nfkit_counters_add(u64 *sum, const u64_stats_t *counted, unsigned int count,
			const struct u64_stats_sync *syncp)
{
	u64 value[NFKIT_COUNTERS];
	unsigned int start, i;

	/* Where there is but this CPU, with 32 bits, that was left to the reader until 6.1. */
	local_bh_disable();
	do {
		start = u64_stats_fetch_begin(syncp);
		for (i = 0; i < count; i++)
			value[i] = u64_stats_read(&counted[i]);
	} while (u64_stats_fetch_retry(syncp, start));
	local_bh_enable();
	for (i = 0; i < count; i++)
		sum[i] += value[i];
}

static void nfkit_counters_sum(const struct nfkit_counters __percpu *percpu,
			       u64 sum[NFKIT_COUNTERS])
{
	int cpu;

	memset(sum, 0, NFKIT_COUNTERS * sizeof(*sum));
	for_each_possible_cpu(cpu) {
		const struct nfkit_counters *counters;

		counters = per_cpu_ptr(percpu, cpu);
		nfkit_counters_add(sum, counters->value, NFKIT_COUNTERS,
				   &counters->syncp);
		sum[NFKIT_QUEUED] += READ_ONCE(counters->queued);
	}
}

void nfkit_counters_stats(const struct nfkit_counters __percpu *counters,
			  struct nfkit_stats *stats)
{
	u64 sum[NFKIT_COUNTERS];

	BUILD_BUG_ON(sizeof(*stats) != sizeof(sum));
	BUILD_BUG_ON(offsetof(struct nfkit_stats, dropped_oldest) !=
		     NFKIT_DROPPED_OLDEST * sizeof(u64));
	nfkit_counters_sum(counters, sum);
	memcpy(stats, sum, sizeof(sum));
}

/* Each packet that an output was to copy made one copy or was counted once. */
static void nfkit_counters_sum_output(const struct nfkit_output *output,
				      u64 sum[NFKIT_COUNTERS])
{
	unsigned int i;

	nfkit_counters_sum(output->counters, sum);
	sum[NFKIT_SEEN] = sum[NFKIT_CLONED];
	for (i = NFKIT_NO_ROUTE; i <= NFKIT_BUFFER_FULL; i++)
		sum[NFKIT_SEEN] += sum[i];
}

void nfkit_counters_output_stats(const struct nfkit_output *output,
				 struct nfkit_stats *stats)
{
	u64 sum[NFKIT_COUNTERS];

	nfkit_counters_sum_output(output, sum);
	memcpy(stats, sum, sizeof(sum));
}

static void nfkit_counters_line(struct seq_file *seq,
				const u64 sum[NFKIT_COUNTERS])
{
	unsigned int i;

	for (i = 0; i < NFKIT_COUNTERS; i++)
		seq_printf(seq, " %llu", sum[i]);
	seq_putc(seq, '\n');
}

/* With nn->lock held. */
static void nfkit_counters_show_target(struct seq_file *seq,
				       const struct nfkit_target *target)
{
	const struct nfkit_sinks *sinks = nfkit_target_sinks(target);
	u64 sum[NFKIT_COUNTERS];
	unsigned int i;

	if (target->key.kind == NFKIT_MARK)
		seq_printf(seq, "mark:0x%x", target->key.mark);
	else if (target->key.kind == NFKIT_DEVICE)
		seq_printf(seq, "dev:%s", target->key.device);
	else
		seq_printf(seq, "target:%s", target->key.name);
	nfkit_counters_sum(target->counters, sum);
	nfkit_counters_line(seq, sum);
	if (target->key.kind != NFKIT_NAMED || !sinks)
		return;
	for (i = 0; i < sinks->count; i++) {
		seq_printf(seq, "target:%s:%s", target->key.name,
			   sinks->outputs[i].config.device);
		nfkit_counters_sum_output(&sinks->outputs[i], sum);
		nfkit_counters_line(seq, sum);
	}
}

static int nfkit_counters_show(struct seq_file *seq, void *unused)
{
	struct nfkit_net *nn = nfkit_net(seq_file_single_net(seq));
	struct nfkit_target *target;
	unsigned int bucket, i;

	seq_puts(seq, "target");
	for (i = 0; i < NFKIT_COUNTERS; i++)
		seq_printf(seq, " %s", nfkit_counter_names[i]);
	seq_putc(seq, '\n');

	mutex_lock(&nn->lock);
	for (bucket = 0; bucket < ARRAY_SIZE(nn->targets); bucket++) {
		hlist_for_each_entry(target, &nn->targets[bucket], node)
			nfkit_counters_show_target(seq, target);
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
