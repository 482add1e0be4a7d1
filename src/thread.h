// SPDX-License-Identifier: MIT
// Threads that take no signals: the handlers of the runtime expect to run on its own threads.
#pragma once

#include <thread>

namespace nfkit {

// Starts `run(argument)`; answers 0 or -errno.
int StartThread(std::thread* thread, void (*run)(void*), void* argument);

}  // namespace nfkit
