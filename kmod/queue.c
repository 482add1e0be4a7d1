// SPDX-License-Identifier: GPL-2.0
/*
 * Copies wait here until the original is out of the way: one queue for each
 * CPU, served by NAPI on a device that is none. How many copies a namespace
 * may have in each queue is bounded.
 */
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <net/dst.h>
#include <net/ip.h>

#include "compat.h"
#include "sending.h"
#include "target.h"

/**
 * struct nfkit_queue - the queue of one CPU
 * @sending: see there
 * @packets: its lock also guards nfkit_net.queued of this CPU
 * @napi: serves it
 * @cpu: whose queue it is; when that CPU goes, another one serves it
 */
struct nfkit_queue {
	/* held while copies are sent, so that a flush can wait for them */
	spinlock_t sending;
	struct sk_buff_head packets;
	struct napi_struct napi;
	int cpu;
};

/* Copies that are routed keep there what IP has, which fragmentation needs. */
struct nfkit_queue_cb {
	union {
		struct inet_skb_parm ip;
#if IS_ENABLED(CONFIG_IPV6)
		struct inet6_skb_parm ip6;
#endif
		/* of a frame: those behind the first */
		struct sk_buff *segments;
	} header;
	struct nfkit_output *output;
	/* in nfkit_target.waiting */
	struct list_head waiting;
};

static struct nfkit_queue_cb *nfkit_queue_cb(const struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct nfkit_queue_cb) > sizeof(skb->cb));
	return (struct nfkit_queue_cb *)skb->cb;
}

static struct nfkit_queue __percpu *nfkit_queues;
static struct net_device *nfkit_napi_dev;

static bool nfkit_queue_at_limit(const struct nfkit_output *output)
{
	const struct nfkit_target *target = output->target;
	const struct nfkit_net *initial = nfkit_net(&init_net);
	unsigned int limit = min(READ_ONCE(target->nn->queue_limit),
				 READ_ONCE(initial->queue_limit));

	if (READ_ONCE(*this_cpu_ptr(target->nn->queued)) >= limit)
		return true;
	limit = output->sinks->queue_limit;
	return limit && READ_ONCE(this_cpu_ptr(target->counters)->queued) >= limit;
}

/*
 * With softirqs disabled, and until nfkit_queue_add(): only this CPU adds to
 * its queue, so where there is room there stays room, or a copy that can go.
 */
bool nfkit_queue_full(const struct nfkit_output *output)
{
	if (!nfkit_queue_at_limit(output))
		return false;
	return !(output->sinks->flags & NFKIT_TARGET_DROP_OLDEST) ||
	       !READ_ONCE(this_cpu_ptr(output->target->counters)->queued);
}

/* With the lock of the queue's packets held. */
static void nfkit_queue_account(const struct nfkit_queue *queue,
				const struct nfkit_output *output, int by)
{
	const struct nfkit_target *target = output->target;
	unsigned int *queued = per_cpu_ptr(target->nn->queued, queue->cpu);
	struct nfkit_counters *counters;

	WRITE_ONCE(*queued, *queued + by);
	counters = per_cpu_ptr(target->counters, queue->cpu);
	WRITE_ONCE(counters->queued, counters->queued + by);
	if (!output->counters)
		return;
	counters = per_cpu_ptr(output->counters, queue->cpu);
	WRITE_ONCE(counters->queued, counters->queued + by);
}

/* With the lock of the queue's packets held. */
static void nfkit_queue_take(struct nfkit_queue *queue, struct sk_buff *skb,
			     struct sk_buff_head *to)
{
	list_del(&nfkit_queue_cb(skb)->waiting);
	__skb_unlink(skb, &queue->packets);
	nfkit_queue_account(queue, nfkit_queue_cb(skb)->output, -1);
	__skb_queue_tail(to, skb);
}

/* The next of those taken, with its segments. */
static struct sk_buff *nfkit_queue_next(struct sk_buff_head *taken)
{
	struct sk_buff *skb = __skb_dequeue(taken);

	if (skb && !nfkit_queue_cb(skb)->output->reroute)
		skb->next = nfkit_queue_cb(skb)->header.segments;
	return skb;
}

/* With its segments. Its output may be gone. */
static void nfkit_queue_free(struct sk_buff *skb)
{
	if (skb->dev)
		dev_put(skb->dev);
	kfree_skb_list(skb);
}

/* With the lock of their queue held that is held while copies are sent. */
static void nfkit_queue_drop(struct sk_buff_head *taken,
			     enum nfkit_counter reason)
{
	struct sk_buff *skb;

	while ((skb = nfkit_queue_next(taken))) {
		nfkit_count_output(nfkit_queue_cb(skb)->output, reason, 1);
		nfkit_queue_free(skb);
	}
}

/*
 * The oldest copy of a target, counted as dropped. With the lock of the queue's
 * packets held: who flushes a former definition frees its outputs, and their
 * counters, when it finds none of their copies behind that.
 */
static struct sk_buff *nfkit_queue_take_oldest(struct nfkit_queue *queue,
					       struct list_head *waiting)
{
	struct sk_buff_head taken;
	struct nfkit_queue_cb *cb;
	struct sk_buff *skb;

	cb = list_first_entry(waiting, struct nfkit_queue_cb, waiting);
	skb = container_of((char (*)[sizeof(skb->cb)])cb, struct sk_buff, cb);
	__skb_queue_head_init(&taken);
	nfkit_queue_take(queue, skb, &taken);
	nfkit_count_output(cb->output, NFKIT_DROPPED_OLDEST, 1);
	return nfkit_queue_next(&taken);
}

/*
 * With softirqs disabled. The copy's output, and a device that it has, live until
 * it is flushed.
 */
void nfkit_queue_add(struct nfkit_output *output, struct sk_buff *skb)
{
	struct nfkit_queue *queue = this_cpu_ptr(nfkit_queues);
	struct list_head *waiting = this_cpu_ptr(output->target->waiting);
	struct nfkit_queue_cb *cb = nfkit_queue_cb(skb);
	struct sk_buff *oldest = NULL;

	cb->output = output;
	if (!output->reroute) {
		cb->header.segments = skb->next;
		dev_hold(skb->dev);
	}
	spin_lock(&queue->packets.lock);
	if (output->sinks->flags & NFKIT_TARGET_DROP_OLDEST &&
	    nfkit_queue_at_limit(output) && !list_empty(waiting))
		oldest = nfkit_queue_take_oldest(queue, waiting);
	list_add_tail(&cb->waiting, waiting);
	__skb_queue_tail(&queue->packets, skb);
	nfkit_queue_account(queue, output, 1);
	spin_unlock(&queue->packets.lock);
	if (oldest)
		nfkit_queue_free(oldest);
	napi_schedule(&queue->napi);
}

static void nfkit_queue_send(struct sk_buff *skb)
{
	const struct nfkit_output *output = nfkit_queue_cb(skb)->output;
	struct net_device *dev = skb->dev;

	if (output->reroute) {
		nfkit_reroute_send(output, skb);
		return;
	}
	nfkit_layer2_send(output, skb);
	dev_put(dev);
}

static int nfkit_queue_poll(struct napi_struct *napi, int budget)
{
	struct nfkit_queue *queue;
	struct sk_buff_head batch;
	struct sk_buff *skb;
	int sent = 0;

	queue = container_of(napi, struct nfkit_queue, napi);
	__skb_queue_head_init(&batch);
	spin_lock(&queue->sending);

	spin_lock(&queue->packets.lock);
	while (sent < budget) {
		skb = skb_peek(&queue->packets);
		if (!skb)
			break;
		nfkit_queue_take(queue, skb, &batch);
		sent++;
	}
	spin_unlock(&queue->packets.lock);

	nfkit_send_begin();
	/* Fragments of IPv6 are made by nf_get_ipv6_ops(). */
	rcu_read_lock();
	while ((skb = nfkit_queue_next(&batch)))
		nfkit_queue_send(skb);
	rcu_read_unlock();
	nfkit_send_end();

	spin_unlock(&queue->sending);
	if (sent < budget)
		napi_complete_done(napi, sent);
	return sent;
}

/* Drops what matches, and returns when nothing that matches is being sent. */
static void nfkit_queue_flush(bool (*matches)(const struct sk_buff *skb,
					      const void *what),
			      const void *what)
{
	struct sk_buff_head flushed;
	struct sk_buff *skb, *next;
	int cpu;

	__skb_queue_head_init(&flushed);
	for_each_possible_cpu(cpu) {
		struct nfkit_queue *queue = per_cpu_ptr(nfkit_queues, cpu);

		spin_lock_bh(&queue->sending);
		spin_lock(&queue->packets.lock);
		skb_queue_walk_safe(&queue->packets, skb, next) {
			if (matches(skb, what))
				nfkit_queue_take(queue, skb, &flushed);
		}
		spin_unlock(&queue->packets.lock);
		nfkit_queue_drop(&flushed, NFKIT_FLUSHED);
		spin_unlock_bh(&queue->sending);
	}
}

static bool nfkit_is_for_target(const struct sk_buff *skb, const void *what)
{
	return nfkit_queue_cb(skb)->output->target == what;
}

void nfkit_queue_flush_target(const struct nfkit_target *target)
{
	nfkit_queue_flush(nfkit_is_for_target, target);
}

static bool nfkit_is_for_sinks(const struct sk_buff *skb, const void *what)
{
	return nfkit_queue_cb(skb)->output->sinks == what;
}

/* No packet finds these sinks any more. */
void nfkit_queue_flush_sinks(const struct nfkit_sinks *sinks)
{
	nfkit_queue_flush(nfkit_is_for_sinks, sinks);
}

static bool nfkit_is_in_net(const struct sk_buff *skb, const void *what)
{
	return nfkit_queue_cb(skb)->output->target->nn == what;
}

void nfkit_queue_flush_net(const struct nfkit_net *nn)
{
	nfkit_queue_flush(nfkit_is_in_net, nn);
}

static bool nfkit_is_for_device(const struct sk_buff *skb, const void *what)
{
	/* One that has its device holds it; others know it by their route. */
	return (skb->dev ? skb->dev : skb_dst(skb)->dev) == what;
}

void nfkit_queue_flush_device(const struct net_device *dev)
{
	nfkit_queue_flush(nfkit_is_for_device, dev);
}

int __init nfkit_queue_init(void)
{
	int cpu;

	nfkit_queues = alloc_percpu(struct nfkit_queue);
	if (!nfkit_queues)
		return -ENOMEM;
	nfkit_napi_dev = alloc_netdev_dummy(0);
	if (!nfkit_napi_dev) {
		free_percpu(nfkit_queues);
		return -ENOMEM;
	}
	for_each_possible_cpu(cpu) {
		struct nfkit_queue *queue = per_cpu_ptr(nfkit_queues, cpu);

		queue->cpu = cpu;
		spin_lock_init(&queue->sending);
		skb_queue_head_init(&queue->packets);
		nfkit_napi_add(nfkit_napi_dev, &queue->napi, nfkit_queue_poll);
		napi_enable(&queue->napi);
	}
	return 0;
}

/* The queues are empty: no target is left. */
void nfkit_queue_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct nfkit_queue *queue = per_cpu_ptr(nfkit_queues, cpu);

		napi_disable(&queue->napi);
		netif_napi_del(&queue->napi);
	}
	nfkit_free_netdev_dummy(nfkit_napi_dev);
	free_percpu(nfkit_queues);
}
