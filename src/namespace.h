// SPDX-License-Identifier: MIT
// What has to happen inside another network namespace. A namespace belongs to a thread, so the work is done on a
// throw-away thread: the runtime's own threads never leave theirs.
#pragma once

#include <sys/types.h>

namespace nfkit {

// Each answers a descriptor (close-on-exec) or -errno. A negative `netns` means the namespace of the caller.
int OpenSocket(int domain, int type, int protocol, int netns);
int OpenFile(const char* path, int flags, mode_t mode, int netns);

// A descriptor of a new, empty network namespace.
int CreateNetns();

}  // namespace nfkit
