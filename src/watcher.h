// SPDX-License-Identifier: MIT
// One watched descriptor: what the epoll thread does with it and what it hands to JavaScript.
#pragma once

#include <napi.h>
#include <pthread.h>
#include <sys/socket.h>

#include <atomic>
#include <mutex>

#include "record_queue.h"

namespace nfkit {

// As lib/native.ts has them.
enum class WatchMode { readiness = 0, drop = 1, pause = 2 };

// Room for one recvmmsg. The pages of a slot cost memory only once a datagram as large came.
class ReceiveBuffer {
 public:
  static constexpr unsigned kSlots = 16;
  static constexpr size_t kSlotBytes = 256 * 1024;  // the largest datagram that is received whole

  ReceiveBuffer() = default;
  ~ReceiveBuffer();
  ReceiveBuffer(const ReceiveBuffer&) = delete;
  ReceiveBuffer& operator=(const ReceiveBuffer&) = delete;

  int Allocate();
  // How many datagrams were received, at most `most`, or -errno.
  int Receive(int fd, unsigned most, bool addresses);
  Received operator[](unsigned slot) const;

 private:
  // Slots that lie a multiple of 4 KiB apart would compete for the same lines of the processor's cache.
  static constexpr size_t kStride = kSlotBytes + 4096 + 192;

  uint8_t* memory_ = nullptr;
  mmsghdr messages_[kSlots];
  iovec parts_[kSlots];
  sockaddr_storage addresses_[kSlots];
  // Room for the few that matter here: PACKET_AUXDATA, a hop limit, a time stamp.
  struct alignas(cmsghdr) {
    uint8_t bytes[128];
  } controls_[kSlots];
};

class Watcher {
 public:
  // Answers 0 or -errno: only datagrams have the limits that records keep.
  static int CheckQueued(int fd, int* domain);

  Watcher(uint32_t id, int fd, int epoll, WatchMode mode, size_t limit, int domain);
  ~Watcher() { pthread_cond_destroy(&filled_); }

  // On the JavaScript thread.
  int Start();                     // begins to receive (not for readiness)
  int Arm(uint32_t events);        // readiness only
  // A Uint8Array, or null when nothing came within `wait` milliseconds.
  napi_value Take(napi_env env, int wait);
  void Stop();                     // when it returns the epoll thread no longer uses the descriptor

  // On the epoll thread. While it holds the answer of Use the watcher and its descriptor stay.
  std::unique_lock<std::mutex> Use() { return std::unique_lock<std::mutex>(in_use_); }
  // True if JavaScript has to be told, with `*events`.
  bool Serve(ReceiveBuffer* buffer, uint32_t* events);

  const uint32_t id;

 private:
  bool Receive(ReceiveBuffer* buffer, uint32_t events);
  bool Announce();
  bool WaitForRecords(int wait, const uint8_t** data, size_t* size);
  bool Fail(int error, bool final);
  int Control(int operation, uint32_t events);

  const int fd_;
  const int epoll_;
  const WatchMode mode_;
  const size_t limit_;
  const bool addresses_;

  std::mutex in_use_;
  std::atomic<bool> stopping_{false};

  // The JavaScript thread's own.
  bool registered_ = false;

  // The epoll thread's own.
  bool overrun_due_ = false;
  size_t until_overrun_ = 0;
  int last_error_ = 0;
  unsigned errors_ = 0;
  unsigned idle_ = 0;

  // Guards what follows. Taken for the time of a copy, never while JavaScript runs.
  std::mutex lock_;
  RecordQueue queue_;
  bool announced_ = false;  // JavaScript knows that there is something to take
  bool waiting_ = false;    // JavaScript is blocked in Take
  pthread_cond_t filled_;   // std::condition_variable would ask for a newer C++ library
  bool paused_ = false;
  bool ended_ = false;
};

}  // namespace nfkit
