// SPDX-License-Identifier: MIT
#include "thread.h"

#include <errno.h>
#include <signal.h>

#include <system_error>

namespace nfkit {

// std::thread rather than pthread_create, although it throws (and so this file is the one that needs exceptions): built
// on a recent glibc, the pthread functions would ask for glibc 2.34 at run time, far above what the runtimes need. For
// the same reason it is sigprocmask, which on Linux changes the calling thread's mask just as pthread_sigmask does.
int StartThread(std::thread* thread, void (*run)(void*), void* argument) {
  sigset_t all, before;
  sigfillset(&all);
  // A thread inherits the mask, so there is no moment at which the new one could take a signal.
  sigprocmask(SIG_SETMASK, &all, &before);
  int result = 0;
  try {
    *thread = std::thread(run, argument);
  } catch (const std::system_error& error) {
    result = -error.code().value();
  } catch (...) {
    result = -ENOMEM;
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return result;
}

}  // namespace nfkit
