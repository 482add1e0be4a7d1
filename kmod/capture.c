// SPDX-License-Identifier: GPL-2.0
/* Captures and events: none are known yet. */
#include <linux/errno.h>

#include "nfkit.h"

int nfkit_capture_start(struct nfkit_file *file, struct net *net,
			void __user *argument)
{
	return -ENOTTY;
}

int nfkit_capture_stats(struct nfkit_file *file, struct net *net,
			void __user *argument)
{
	return -ENOTTY;
}

int nfkit_events_start(struct nfkit_file *file, struct net *net,
		       void __user *argument)
{
	return -ENOTTY;
}

u64 nfkit_capture_features(void)
{
	return 0;
}

enum nfkit_counter nfkit_capture_packet(struct nfkit_target *target,
					struct sk_buff *skb,
					const struct nf_hook_state *state,
					u8 point, u32 snaplen,
					unsigned int *bytes)
{
	return NFKIT_NO_READER;
}

void nfkit_event(struct nfkit_net *nn, enum nfkit_event event,
		 const char *target, const char *device, int ifindex)
{
}

void nfkit_reader_release(struct nfkit_file *file)
{
}

void nfkit_readers_exit_net(struct nfkit_net *nn)
{
}

ssize_t nfkit_reader_read(struct file *filp, char __user *to, size_t size,
			  loff_t *at)
{
	return -EINVAL;
}

__poll_t nfkit_reader_poll(struct file *filp, poll_table *wait)
{
	return 0;
}
