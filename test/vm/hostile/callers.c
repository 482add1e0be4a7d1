// SPDX-License-Identifier: MIT
// Who may call: not who lacks CAP_NET_ADMIN in the user namespace of the descriptor's network namespace, whoever opened it; and not
// by a descriptor of somebody who lacked it there.

#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "arguments.h"

static struct world world;
static int home;

// Runs it in a child, whose checks count by its exit status.
static void in_child(const char *what, void (*body)(void *), void *with) {
  fflush(stdout);
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    failures = 0;
    body(with);
    fflush(stdout);
    _exit(failures == 0 ? 0 : 1);
  }
  int status;
  while (waitpid(child, &status, 0) != child) if (errno != EINTR) die("waitpid");
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status 0x%x", what, status);
}

// Every command and read, each as it would succeed for others.
static void every_call(int fd, int wanted, const char *who) {
  char bytes[1024];
  for (enum command which = 0; which < COMMANDS; which++) {
    union argument argument;
    if (!has(which)) continue;
    right(which, &argument);
    if (which == NETNS) argument.netns.fd = home;
    expect(wanted, call(fd, which, &argument), "%s: %s", who, FORMS[which].name);
  }
  if (has(CAPTURE)) expect(wanted, errno_of(read(fd, bytes, sizeof bytes)), "%s: read", who);
  // Whatever else may be wrong with it.
  struct random random = { 1 };
  struct memory memory = arguments_memory();
  for (int i = 0; i < 2000; i++) {
    enum command which = (enum command)below(&random, COMMANDS);
    unsigned long number = one_in(&random, 50) ? next(&random) : FORMS[which].command;
    if (!expect(wanted, errno_of(ioctl(fd, number, random_argument(&random, &memory, which, home))), "%s: command 0x%lx by chance", who, number)) return;
  }
  if (has(CAPTURE)) expect(wanted, errno_of(read(fd, unmapped(), PAGE)), "%s: read to nowhere", who);
}

static void without_capability(void) {
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) != 0) die("capget");
  data[0].effective &= ~(1U << CAP_NET_ADMIN);
  data[0].permitted &= ~(1U << CAP_NET_ADMIN);
  data[0].inheritable &= ~(1U << CAP_NET_ADMIN);
  if (syscall(SYS_capset, &header, data) != 0) die("capset");
}

static void become_nobody(void) {
  if (setgroups(0, NULL) != 0 || setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) die("another user");
}

static void expect_no_open(int wanted, const char *who) {
  int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
  expect(wanted, errno_of(fd), "%s: open", who);
  if (fd >= 0) close(fd);
}

// Inherited by who lacks the capability, who then opens for himself.
static void inherited(void *with) {
  (void)with;
  without_capability();
  every_call(world.own, EPERM, "root without the capability");
  if (has(CAPTURE)) every_call(world.capturing, EPERM, "root without the capability, a capture");
  expect_no_open(EPERM, "root without the capability");
}

static void inherited_by_nobody(void *with) {
  (void)with;
  // As if somebody had given the device's file to all.
  if (chmod(DEVICE, 0666) != 0) die("chmod");
  become_nobody();
  every_call(world.own, EPERM, "another user");
  expect_no_open(EPERM, "another user");
}

static void nobody_at_the_file(void *with) {
  (void)with;
  become_nobody();
  expect_no_open(EACCES, "another user and the file's mode");
}

static void pass(int to, int fd) {
  char control[CMSG_SPACE(sizeof fd)] = { 0 }, byte = 0;
  struct iovec data = { &byte, 1 };
  struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  *header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd) };
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (sendmsg(to, &message, 0) != 1) die("sendmsg");
}

static int passed(int from) {
  char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte;
  struct iovec data = { &byte, 1 };
  struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  int fd;
  if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) != 1 || CMSG_FIRSTHDR(&message) == NULL) die("recvmsg");
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  return fd;
}

static void write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) die("%s", path);
  close(fd);
}

// root of a user namespace of its own, with all capabilities there.
static void new_user_namespace(void) {
  if (unshare(CLONE_NEWUSER) != 0) die("a user namespace");
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", "0 0 1");
  write_file("/proc/self/gid_map", "0 0 1");
}

// By SCM_RIGHTS, to who has dropped everything before.
static void received(void *with) {
  become_nobody();
  every_call(passed(*(int *)with), EPERM, "who was passed a descriptor");
  if (has(CAPTURE)) every_call(passed(*(int *)with), EPERM, "who was passed a capture");
}

// The same with all capabilities, but of another user namespace.
static void received_elsewhere(void *with) {
  new_user_namespace();
  every_call(passed(*(int *)with), EPERM, "root of another user namespace who was passed a descriptor");
  if (has(CAPTURE)) every_call(passed(*(int *)with), EPERM, "root of another user namespace who was passed a capture");
}

static void root_elsewhere(void *with) {
  (void)with;
  new_user_namespace();
  every_call(world.own, EPERM, "root of another user namespace");
  expect_no_open(EPERM, "root of another user namespace");
  // In a network of his own he may.
  new_network();
  int fd = open_device(O_NONBLOCK);
  union argument argument;
  // But not give his descriptor to ours, nor ours to his.
  right(NETNS, &argument);
  argument.netns.fd = home;
  expect(EPERM, call(fd, NETNS, &argument), "a descriptor of another user namespace, given to this network");
  int fresh = passed(*(int *)with);
  argument.netns.fd = own_netns();
  expect(EPERM, call(fresh, NETNS, &argument), "a descriptor of this network, given to another user namespace");
  if (has(TARGET_SET)) {
    expect(0, set_target(fd, "theirs", NFKIT_TARGET_REROUTE, NULL), "root of another user namespace, in his network");
    struct nfkit_info info = { .size = sizeof info };
    expect(0, call(fd, INFO, &info), "INFO");
    check(info.targets == 1, "%u targets in a network of its own", info.targets);
  }
}

// Opens as root of another user namespace, in his network, and passes that on.
static void opener_elsewhere(void *with) {
  new_user_namespace();
  new_network();
  pass(*(int *)with, open_device(O_NONBLOCK));
  pass(*(int *)with, own_netns());
  // The network stays until it has been looked at.
  char byte;
  if (read(*(int *)with, &byte, 1) != 1) die("the end");
}

static void of_opener_elsewhere(void) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) != 0) die("socketpair");
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    opener_elsewhere(&pair[1]);
    fflush(stdout);
    _exit(0);
  }
  int fd = passed(pair[0]), network = passed(pair[0]);
  union argument argument;
  // root here has every capability there, and so had the opener: it works, but only there.
  if (has(TARGET_SET)) expect(0, set_target(fd, "there", NFKIT_TARGET_REROUTE, NULL), "a descriptor of another user namespace");
  int fresh = open_device(O_NONBLOCK);
  right(NETNS, &argument);
  argument.netns.fd = network;
  expect(0, call(fresh, NETNS, &argument), "a descriptor of root, given to another user namespace");
  if (has(TARGET_SET)) expect(EEXIST, set_target(fresh, "there", NFKIT_TARGET_REROUTE | NFKIT_TARGET_CREATE, NULL), "it sees what is there");
  close(fd);
  if (write(pair[0], "", 1) != 1) die("write");
  waitpid(child, NULL, 0);
  close(fresh);
  close(network);
  close(pair[0]);
  close(pair[1]);
}

static void weak_opener(void *with) {
  new_user_namespace();
  new_network();
  pass(*(int *)with, open_device(O_NONBLOCK));
  pass(*(int *)with, own_netns());
}

// A program with privilege is given a descriptor by one without, and takes it into its own network: as with setuid programs.
static void of_weak_opener(void) {
  int pair[2];
  union argument argument;
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) != 0) die("socketpair");
  in_child("the opener", weak_opener, &pair[1]);
  int fd = passed(pair[0]), network = passed(pair[0]);
  right(NETNS, &argument);
  argument.netns.fd = home;
  expect(EPERM, call(fd, NETNS, &argument), "a descriptor of who has no right here, taken into this network");
  argument.netns.fd = network;
  expect(0, call(fd, NETNS, &argument), "and left where it was");
  close(fd);
  close(network);
  close(pair[0]);
  close(pair[1]);
}

void callers(void) {
  static struct state before, after;
  int pair[2], elsewhere[2];
  struct stat file;
  world = make_world();
  home = own_netns();
  if (stat(DEVICE, &file) != 0) die(DEVICE);
  check((file.st_mode & 0777) == 0600 && file.st_uid == 0, "the device's mode is 0%o", file.st_mode & 0777);
  look(world.own, &before);
  in_child("nobody", nobody_at_the_file, NULL);
  in_child("without capability", inherited, NULL);
  in_child("nobody with descriptors", inherited_by_nobody, NULL);
  if (chmod(DEVICE, 0600) != 0) die("chmod");
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) != 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, elsewhere) != 0) die("socketpair");
  static void (*const RECEIVERS[])(void *) = { received, received_elsewhere };
  for (int i = 0; i < 2; i++) {
    pass(pair[0], world.own);
    if (has(CAPTURE)) pass(pair[0], world.capturing);
    in_child("SCM_RIGHTS", RECEIVERS[i], &pair[1]);
  }
  int fresh = open_device(O_NONBLOCK);
  pass(elsewhere[0], fresh);
  in_child("another user namespace", root_elsewhere, &elsewhere[1]);
  close(fresh);
  of_opener_elsewhere();
  of_weak_opener();
  look(world.own, &after);
  const char *changed = difference(&before, &after);
  check(changed == NULL, "who may not call changed something: %s", changed);
  delete_all(world.own);
}
