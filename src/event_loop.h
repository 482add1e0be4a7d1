// SPDX-License-Identifier: MIT
// One thread for each environment waits for all of its watched descriptors and calls one JavaScript handler.
//
// `take()` hands over chunks of records. A record, in the byte order of the machine, begins at a multiple of 8:
//
//   u32 size           of the whole record: this header, address and data, each of them padded to a multiple of 8
//   u16 kind           0 data, 1 overrun (something is missing at this place), 2 error
//   u16 addressLength  0 unless the sender is known and of interest (AF_PACKET, AF_INET, AF_INET6); if the socket's options
//                      ask for control messages, these are part of it: they begin at the next multiple of 8
//   u32 dataLength     without the padding
//   u32 value          data: the true length if the datagram was cut, else 0; error: the errno; overrun: 0
//   u8  address[addressLength], padding of zeros
//   u8  data[dataLength], padding of zeros
//
// An error is recorded once however often it repeats. After one that does not pass (and after ESHUTDOWN) nothing more is
// received.
#pragma once

#include <napi.h>

#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "watcher.h"

namespace nfkit {

class EventLoop {
 public:
  explicit EventLoop(napi_env env) : env_(env) {}
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void SetHandler(napi_value handler);
  void SetReferenced(bool referenced);

  // 0 or -errno.
  int Watch(int fd, uint32_t id, WatchMode mode, size_t limit, std::unique_ptr<Watcher>* watcher);
  // Afterwards the watcher can be deleted and the descriptor be closed, and the handler is not called for it.
  void Remove(Watcher* watcher);
  // Ends the thread and lets go of JavaScript: the environment is about to end.
  void Stop();

 private:
  struct Event {
    uint32_t id;
    uint32_t bits;
  };
  // What the thread-safe function knows of its loop, and the loop of it: either may go first.
  struct Link {
    EventLoop* loop;
  };

  int Start();
  int MakeFunction();
  void StopThread();
  void Run();
  void Post(Event event);
  void Deliver(napi_env env);
  void UpdateReference();
  static void Call(napi_env env, napi_value, void* context, void*);

  const napi_env env_;
  Napi::FunctionReference handler_;
  napi_threadsafe_function function_ = nullptr;
  Link* link_ = nullptr;
  bool wants_reference_ = false;
  bool has_reference_ = false;
  bool deaf_ = false;  // JavaScript can no longer be called

  int epoll_ = -1;
  int wake_ = -1;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  ReceiveBuffer buffer_;  // the thread's own once it runs

  // Containers without arrays: those would ask for a newer C++ library at run time than the runtimes do.
  std::mutex lock_;
  std::map<uint32_t, Watcher*> watchers_;  // changed by the JavaScript thread only
  std::list<Event> events_;                // for the handler
};

}  // namespace nfkit
