// SPDX-License-Identifier: GPL-2.0
/* What happens to clone targets, for descriptors that ask: see uapi/nfkit_record.h. */
#include <linux/string.h>

#include "reader.h"

/* Events that wait for each descriptor, at least. */
#define NFKIT_EVENTS_WAITING	1024

/* With nn->lock held. */
void nfkit_event(struct nfkit_net *nn, enum nfkit_event event,
		 const char *target, const char *device, int ifindex)
{
	struct nfkit_event_record record = {
		.record.length = sizeof(record),
		.record.type = NFKIT_RECORD_EVENT,
		.record.header = sizeof(record),
		.event = event,
		.ifindex = ifindex,
	};
	struct nfkit_reader *reader;
	u32 at;

	lockdep_assert_held(&nn->lock);
	strscpy(record.target, target, sizeof(record.target));
	strscpy(record.device, device, sizeof(record.device));
	list_for_each_entry(reader, &nn->readers, node) {
		struct nfkit_ring *ring = &reader->events;

		if (!ring->size)
			continue;
		if (nfkit_ring_reserve(ring, &record.record, &at)) {
			nfkit_ring_write(ring, at, sizeof(record.record.length),
					 (char *)&record +
					 sizeof(record.record.length),
					 sizeof(record) -
					 sizeof(record.record.length));
			nfkit_ring_commit(ring, at, sizeof(record));
		}
		nfkit_reader_filled(reader, true);
	}
}

int nfkit_events_start(struct nfkit_file *file, struct net *net,
		       void __user *argument)
{
	u32 bytes = PAGE_ALIGN((NFKIT_EVENTS_WAITING + 1) *
			       sizeof(struct nfkit_event_record));
	struct nfkit_net *nn = nfkit_net(net);
	struct nfkit_events events;
	struct nfkit_reader *reader;
	char *data;
	u32 size;
	int err;

	err = nfkit_struct_read(&events, sizeof(events), sizeof(events),
				argument, &size);
	if (err)
		return err;
	if (events.reserved)
		return -EINVAL;
	mutex_lock(&nn->lock);
	reader = nfkit_reader_get(file);
	err = !reader ? -ENOMEM : reader->events.size ? -EBUSY :
	      nfkit_reader_take_memory(nn, bytes);
	if (err)
		goto unlock;
	data = nfkit_ring_alloc(bytes);
	if (data) {
		nfkit_ring_start(&reader->events, data, bytes);
		nfkit_reader_join(reader, file, nn);
	} else {
		nfkit_reader_give_memory(nn, bytes);
		err = -ENOMEM;
	}
unlock:
	mutex_unlock(&nn->lock);
	return err;
}
