// SPDX-License-Identifier: MIT
#include "namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include "thread.h"

namespace nfkit {
namespace {

// Runs `work` (which answers >= 0 or -errno) on a thread of its own and waits for it.
template <typename Work>
int OnThread(const Work& work) {
  struct Job {
    const Work* work;
    int result;
  } job{&work, 0};
  std::thread thread;
  int error = StartThread(
      &thread,
      [](void* argument) {
        Job* mine = static_cast<Job*>(argument);
        mine->result = (*mine->work)();
      },
      &job);
  if (error < 0) return error;
  thread.join();
  return job.result;
}

template <typename Work>
int Inside(int netns, const Work& work) {
  if (netns < 0) return work();
  return OnThread([netns, &work] { return setns(netns, CLONE_NEWNET) < 0 ? -errno : work(); });
}

int Open(const char* path, int flags, mode_t mode) {
  int fd;
  do fd = open(path, flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  return fd < 0 ? -errno : fd;
}

}  // namespace

int OpenSocket(int domain, int type, int protocol, int netns) {
  return Inside(netns, [=] {
    int fd = socket(domain, type | SOCK_CLOEXEC, protocol);
    return fd < 0 ? -errno : fd;
  });
}

int OpenFile(const char* path, int flags, mode_t mode, int netns) {
  return Inside(netns, [=] { return Open(path, flags, mode); });
}

int CreateNetns() {
  return OnThread([] { return unshare(CLONE_NEWNET) < 0 ? -errno : Open("/proc/thread-self/ns/net", O_RDONLY, 0); });
}

}  // namespace nfkit
