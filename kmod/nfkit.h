/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the module know of one another: namespaces, descriptors, commands. */
#ifndef NFKIT_H
#define NFKIT_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/rwsem.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <net/net_namespace.h>

#include "uapi/nfkit.h"

struct ctl_table;
struct ctl_table_header;
struct nfkit_file;
struct nfkit_reader;

/**
 * struct nfkit_net - what the module keeps for a network namespace
 * @net: that
 * @lock: see there
 * @changes: held while programs define and delete targets; before @lock
 * @targets: clone targets by what they are for
 * @target_count: how many of them programs have defined
 * @hooks: hooks that programs made; under @lock
 * @hook_count: how many hooks there are
 * @capture_count: how many descriptors capture
 * @files: open descriptors, see device.c
 * @readers: what those read, under @lock
 * @buffers: bytes of what they have not read yet may have, the same
 * @queued: how many of its copies each CPU has queued; written under the
 *	lock of that CPU's queue
 * @queue_limit: how many each CPU may queue
 */
struct nfkit_net {
	struct net *net;
	/* @targets, the users of each and what is defined; @hooks; within the RTNL */
	struct mutex lock;
	/* outside of @lock */
	struct mutex changes;
	struct hlist_head targets[64];
	unsigned int target_count;
	struct list_head hooks;
	unsigned int hook_count;
	unsigned int capture_count;
	struct list_head files;
	struct list_head readers;
	u32 buffers;
	unsigned int __percpu *queued;
	unsigned int queue_limit;
	struct ctl_table *sysctl_table;
	struct ctl_table_header *sysctl;
};

/**
 * struct nfkit_file - an open descriptor
 * @node: in nfkit_net.files
 * @net: its namespace, not held; NULL when that is gone
 * @binding: held for reading by commands, so that @net stays the same one
 * @used: it had an object, so that @net stays for good
 * @reader: what it reads, reader.c; NULL: nothing. It comes once, and stays
 * @wait: who waits for that, and for the end of the namespace
 */
struct nfkit_file {
	struct list_head node;
	struct net *net;
	struct rw_semaphore binding;
	bool used;
	struct nfkit_reader *reader;
	wait_queue_head_t wait;
};

/*
 * A command of ioctl(2). The namespace is held for as long as it runs, and its
 * caller may do what the file says. No lock of the module's is held but
 * nfkit_file.binding.
 */
typedef int nfkit_command(struct nfkit_file *file, struct net *net,
			  void __user *argument);

/* main.c */
struct nfkit_net *nfkit_net(const struct net *net);

/* device.c */
int nfkit_device_init(void);
void nfkit_device_exit(void);
void nfkit_device_exit_net(struct nfkit_net *nn);
bool nfkit_file_gone(const struct nfkit_file *file);
struct net *nfkit_enter(struct file *filp);
void nfkit_leave(struct file *filp, struct net *net);

/* structs.c */
int nfkit_struct_read(void *into, size_t known, size_t first,
		      const void __user *from, u32 *size);
int nfkit_struct_write(void __user *to, const void *what, size_t known,
		       u32 size);
bool nfkit_name_field_valid(const char name[NFKIT_NAME_SIZE]);
bool nfkit_device_field_valid(const char name[NFKIT_DEVICE_SIZE]);

/*
 * object-commands.c
 *
 * With nn->lock held: writes the names for which there is room, and answers how
 * many there are.
 */
typedef u32 nfkit_names(struct nfkit_net *nn, char *names, u32 room);
int nfkit_delete_read(struct nfkit_delete *delete, const void __user *argument);
int nfkit_list(struct nfkit_net *nn, void __user *argument, u32 most,
	       nfkit_names *names_of);

/* target-commands.c */
nfkit_command nfkit_target_set;
nfkit_command nfkit_target_delete;
nfkit_command nfkit_target_get;
nfkit_command nfkit_target_list;

/* define.c */
void nfkit_target_undefine_all(struct nfkit_net *nn,
			       const struct nfkit_file *file);

/* sinks.c */
void nfkit_sinks_match_device(struct net_device *dev, bool there);

/* counters.c */
int nfkit_counters_init_net(struct net *net);
void nfkit_counters_exit_net(struct net *net);

/* sysctl.c */
int nfkit_sysctl_init_net(struct net *net);
void nfkit_sysctl_exit_net(struct net *net);

/* queue.c */
int nfkit_queue_init(void);
void nfkit_queue_exit(void);
void nfkit_queue_flush_net(const struct nfkit_net *nn);
void nfkit_queue_flush_device(const struct net_device *dev);

/* xt_clone.c */
int nfkit_xt_init(void);
void nfkit_xt_exit(void);

/* hook-commands.c */
nfkit_command nfkit_hook_set;
nfkit_command nfkit_hook_delete;
nfkit_command nfkit_hook_get;
nfkit_command nfkit_hook_list;

/* hook-points.c */
u64 nfkit_hook_features(void);

/* hook.c */
void nfkit_hooks_delete_all(struct nfkit_net *nn, const struct nfkit_file *file);
void nfkit_hooks_match_device(struct net_device *dev, bool there);

/* capture.c */
nfkit_command nfkit_capture_start;
nfkit_command nfkit_capture_stats;
u64 nfkit_capture_features(void);

/* events.c */
nfkit_command nfkit_events_start;
void nfkit_event(struct nfkit_net *nn, enum nfkit_event event,
		 const char *target, const char *device, int ifindex);

/* reader.c */
void nfkit_reader_release(struct nfkit_file *file);
void nfkit_readers_exit_net(struct nfkit_net *nn);
ssize_t nfkit_reader_read(struct file *filp, char __user *to, size_t size,
			  loff_t *at);
__poll_t nfkit_reader_poll(struct file *filp, poll_table *wait);

#endif /* NFKIT_H */
