// SPDX-License-Identifier: MIT
// Devices and packets in this thread's network namespace. What cannot be done, since it is there or gone already, is left.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>
#include <unistd.h>
#include "hostile.h"

struct request {
  struct nlmsghdr header;
  struct ifinfomsg link;
  char attributes[512];
};

static struct rtattr *attribute(struct request *request, unsigned short type, const void *data, size_t size) {
  struct rtattr *added = (void *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));
  added->rta_type = type;
  added->rta_len = (unsigned short)RTA_LENGTH(size);
  if (size > 0) memcpy(RTA_DATA(added), data, size);
  request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + (__u32)RTA_ALIGN(added->rta_len);
  return added;
}

static void end(struct request *request, struct rtattr *nest) {
  nest->rta_len = (unsigned short)((char *)request + request->header.nlmsg_len - (char *)nest);
}

// The kernel's errno, 0 for success.
static int ask(struct request *request) {
  struct { struct nlmsghdr header; struct nlmsgerr error; char more[512]; } answer;
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return errno;
  request->header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
  int error = EIO;
  if (send(fd, request, request->header.nlmsg_len, 0) >= 0) {
    ssize_t size;
    while ((size = recv(fd, &answer, sizeof answer, 0)) < 0 && errno == EINTR);
    if (size >= (ssize_t)(sizeof answer.header + sizeof answer.error) && answer.header.nlmsg_type == NLMSG_ERROR) error = -answer.error.error;
  }
  close(fd);
  return error;
}

void new_network(void) {
  if (unshare(CLONE_NEWNET) != 0) die("a network namespace");
  set_up("lo");
  add_device("d0", "dummy", NULL);
  set_up("d0");
}

void add_device(const char *name, const char *kind, const char *peer) {
  struct request request = { .header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL } };
  attribute(&request, IFLA_IFNAME, name, strlen(name) + 1);
  struct rtattr *info = attribute(&request, IFLA_LINKINFO, NULL, 0);
  attribute(&request, IFLA_INFO_KIND, kind, strlen(kind));
  if (peer != NULL) {
    static const struct ifinfomsg NONE;
    struct rtattr *data = attribute(&request, IFLA_INFO_DATA, NULL, 0);
    struct rtattr *of_peer = attribute(&request, VETH_INFO_PEER, &NONE, sizeof NONE);
    attribute(&request, IFLA_IFNAME, peer, strlen(peer) + 1);
    end(&request, of_peer);
    end(&request, data);
  }
  end(&request, info);
  ask(&request);
}

void delete_device(const char *name) {
  struct request request = { .header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = RTM_DELLINK } };
  attribute(&request, IFLA_IFNAME, name, strlen(name) + 1);
  ask(&request);
}

void set_up(const char *name) {
  struct request request = { .header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = RTM_NEWLINK }, .link = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP } };
  attribute(&request, IFLA_IFNAME, name, strlen(name) + 1);
  ask(&request);
}

// if_nametoindex() has the kernel look for a module of that name, which takes a process.
static __u32 index_of(const char *name, const struct if_nameindex *all) {
  for (; all != NULL && all->if_index != 0; all++) if (strcmp(all->if_name, name) == 0) return all->if_index;
  return 0;
}

__u32 device_index(const char *name) {
  struct if_nameindex *all = if_nameindex();
  __u32 index = index_of(name, all);
  if_freenameindex(all);
  return index;
}

void rename_device(const char *name, const char *to) {
  struct request request = { .header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = RTM_NEWLINK }, .link = { .ifi_change = IFF_UP } };
  request.link.ifi_index = (int)device_index(name);
  if (request.link.ifi_index == 0) return;
  ask(&request);
  attribute(&request, IFLA_IFNAME, to, strlen(to) + 1);
  ask(&request);
}

void move_device(const char *name, int netns) {
  struct request request = { .header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = RTM_NEWLINK } };
  attribute(&request, IFLA_IFNAME, name, strlen(name) + 1);
  attribute(&request, IFLA_NET_NS_FD, &netns, sizeof netns);
  ask(&request);
}

void attach(const char *bridge, const char *name) {
  struct request request = { .header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = RTM_NEWLINK } };
  __u32 master = device_index(bridge);
  attribute(&request, IFLA_IFNAME, name, strlen(name) + 1);
  attribute(&request, IFLA_MASTER, &master, sizeof master);
  ask(&request);
}

int packet_socket(void) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) die("a packet socket");
  return fd;
}

static void send_frame(int fd, __u32 device, const void *frame, size_t size) {
  struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = (int)device, .sll_halen = 6 };
  if (device != 0) sendto(fd, frame, size, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
}

void send_traffic(int packet, unsigned count) {
  static const char *const DEVICES[] = { "d0", "v0", "v1" };
  // A broadcast frame with an IPv4 header, whose checksum is right, and a UDP header.
  static const unsigned char FRAME[] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0,
    0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0x78, 0xb9, 127, 0, 0, 1, 255, 255, 255, 255, 0x30, 0x39, 0, 9, 0, 30, 0, 0,
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
  };
  struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = { htonl(INADDR_LOOPBACK) } };
  struct if_nameindex *all = if_nameindex();
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  for (unsigned i = 0; i < count; i++) {
    sendto(fd, FRAME, sizeof FRAME, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
    if (i < sizeof DEVICES / sizeof DEVICES[0]) send_frame(packet, index_of(DEVICES[i], all), FRAME, sizeof FRAME);
  }
  if_freenameindex(all);
  close(fd);
}
