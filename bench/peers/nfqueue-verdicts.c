// SPDX-License-Identifier: MIT
// A consumer of a packet queue as one writes it in C with libnetfilter_queue. It answers one request for each line of its input:
// {"open":N} takes queue N; {"count":C,"from":F,"batch":B} accepts C packets, every B-th time all up to that one (0: each by itself),
// and tells the milliseconds from the F-th packet to the last; {"close":0} gives the queue back.

#include <arpa/inet.h>
#include <errno.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static struct nfq_handle *handle;
static struct nfq_q_handle *queue;
static unsigned long seen, first, batch, wanted;
static double started;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void fail(const char *what) {
  printf("{\"error\":\"%s: %s\"}\n", what, strerror(errno));
  exit(1);
}

static int packet(struct nfq_q_handle *q, struct nfgenmsg *message, struct nfq_data *data, void *context) {
  (void)message;
  (void)context;
  unsigned char *payload;
  struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(data);
  if (header == NULL || nfq_get_payload(data, &payload) < 20) fail("a packet without its bytes");
  uint32_t id = ntohl(header->packet_id);
  if (++seen == first) started = now();
  if (batch == 0) return nfq_set_verdict(q, id, NF_ACCEPT, 0, NULL);
  if (seen % batch != 0 && seen != wanted) return 0;
  return nfq_set_verdict_batch(q, id, NF_ACCEPT);
}

static void open_queue(unsigned number) {
  handle = nfq_open();
  if (handle == NULL) fail("nfq_open");
  queue = nfq_create_queue(handle, number, packet, NULL);
  if (queue == NULL) fail("nfq_create_queue");
  if (nfq_set_queue_maxlen(queue, 1 << 20) < 0) fail("nfq_set_queue_maxlen");
  if (nfq_set_mode(queue, NFQNL_COPY_PACKET, 0xffff) < 0) fail("nfq_set_mode");
  int size = 512 << 20, on = 1, fd = nfq_fd(handle);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0) fail("SO_RCVBUFFORCE");
  setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on));
}

static double consume(void) {
  static char buffer[0x10000 + 4096] __attribute__((aligned));
  int fd = nfq_fd(handle);
  for (seen = 0; seen < wanted;) {
    ssize_t length = recv(fd, buffer, sizeof(buffer), 0);
    if (length < 0) fail("recv");
    if (nfq_handle_packet(handle, buffer, (int)length) < 0 && errno != 0) fail("nfq_handle_packet");
  }
  return now() - started;
}

int main(void) {
  char line[256];
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (fgets(line, sizeof(line), stdin) != NULL) {
    unsigned number;
    if (sscanf(line, "{\"open\":%u}", &number) == 1) {
      open_queue(number);
      printf("{}\n");
    } else if (sscanf(line, "{\"count\":%lu,\"from\":%lu,\"batch\":%lu}", &wanted, &first, &batch) == 3) {
      printf("{\"milliseconds\":%f}\n", consume());
    } else {
      nfq_destroy_queue(queue);
      nfq_close(handle);
      printf("{}\n");
    }
  }
  return 0;
}
