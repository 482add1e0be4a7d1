// SPDX-License-Identifier: MIT
#include "event_loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "thread.h"

namespace nfkit {
namespace {

constexpr int kEventsAtOnce = 64;
constexpr uint64_t kWake = UINT64_MAX;  // no id: those have 32 bits

}  // namespace

EventLoop::~EventLoop() {
  Stop();
  if (link_ != nullptr) link_->loop = nullptr;
  if (epoll_ >= 0) close(epoll_);
  if (wake_ >= 0) close(wake_);
}

void EventLoop::SetHandler(napi_value handler) { handler_ = Napi::Persistent(Napi::Function(env_, handler)); }

void EventLoop::SetReferenced(bool referenced) {
  wants_reference_ = referenced;
  UpdateReference();
}

// Without a watched descriptor there is nothing that could happen, so nothing to stay alive for.
void EventLoop::UpdateReference() {
  bool reference = wants_reference_ && !watchers_.empty();
  if (function_ == nullptr || reference == has_reference_) return;
  has_reference_ = reference;
  if (reference) {
    napi_ref_threadsafe_function(env_, function_);
  } else {
    napi_unref_threadsafe_function(env_, function_);
  }
}

int EventLoop::MakeFunction() {
  napi_value name;
  if (napi_create_string_utf8(env_, "nfkit", NAPI_AUTO_LENGTH, &name) != napi_ok) return -ENOMEM;
  Link* link = new Link{this};
  auto finalize = [](napi_env, void* data, void*) {
    Link* link = static_cast<Link*>(data);
    if (link->loop != nullptr) {
      link->loop->StopThread();
      link->loop->function_ = nullptr;
      link->loop->link_ = nullptr;
    }
    delete link;
  };
  if (napi_create_threadsafe_function(env_, nullptr, nullptr, name, 0, 1, link, finalize, link, Call, &function_) != napi_ok) {
    delete link;
    return -ENOMEM;
  }
  link_ = link;
  napi_unref_threadsafe_function(env_, function_);
  // Hooks run in reverse order: this one, which ends the thread, before the runtime's, which ends the function that the
  // thread calls.
  napi_add_env_cleanup_hook(
      env_, [](void* data) { static_cast<EventLoop*>(data)->Stop(); }, this);
  return 0;
}

// Every step that succeeded is kept, so that a later call can go on after a passing failure.
int EventLoop::Start() {
  if (thread_.joinable()) return 0;
  if (stopping_) return -ESHUTDOWN;
  if (epoll_ < 0 && (epoll_ = epoll_create1(EPOLL_CLOEXEC)) < 0) return -errno;
  if (wake_ < 0) {
    if ((wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) return -errno;
    epoll_event event;
    event.events = EPOLLIN;
    event.data.u64 = kWake;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) < 0) {
      int error = errno;
      close(wake_);
      wake_ = -1;
      return -error;
    }
  }
  int error = buffer_.Allocate();
  if (error == 0 && function_ == nullptr) error = MakeFunction();
  if (error == 0) {
    error = StartThread(
        &thread_, [](void* self) { static_cast<EventLoop*>(self)->Run(); }, this);
  }
  return error;
}

void EventLoop::StopThread() {
  stopping_ = true;
  if (!thread_.joinable()) return;
  uint64_t one = 1;
  while (write(wake_, &one, sizeof(one)) < 0 && errno == EINTR) {
  }
  thread_.join();
}

void EventLoop::Stop() {
  StopThread();
  if (function_ == nullptr) return;
  // The runtime would end it as well; but Deno keeps a worker's thread for ever while a function is not released.
  napi_release_threadsafe_function(function_, napi_tsfn_abort);
  function_ = nullptr;
}

int EventLoop::Watch(int fd, uint32_t id, WatchMode mode, size_t limit, std::unique_ptr<Watcher>* result) {
  if (handler_.IsEmpty()) return -EINVAL;
  if (watchers_.count(id) != 0) return -EEXIST;
  int domain = AF_UNSPEC;
  int error = mode == WatchMode::readiness ? 0 : Watcher::CheckQueued(fd, &domain);
  if (error == 0) error = Start();
  if (error < 0) return error;
  auto watcher = std::make_unique<Watcher>(id, fd, epoll_, mode, limit, domain);
  {
    std::lock_guard<std::mutex> guard(lock_);
    watchers_.emplace(id, watcher.get());
  }
  error = watcher->Start();
  if (error < 0) {
    std::lock_guard<std::mutex> guard(lock_);
    watchers_.erase(id);
    return error;
  }
  UpdateReference();
  *result = std::move(watcher);
  return 0;
}

void EventLoop::Remove(Watcher* watcher) {
  {
    std::lock_guard<std::mutex> guard(lock_);
    watchers_.erase(watcher->id);
  }
  watcher->Stop();
  UpdateReference();
}

void EventLoop::Run() {
  epoll_event events[kEventsAtOnce];
  while (!stopping_) {
    int count = epoll_wait(epoll_, events, kEventsAtOnce, -1);
    for (int i = 0; i < count && !stopping_; i++) {
      if (events[i].data.u64 == kWake) return;
      Event event = {static_cast<uint32_t>(events[i].data.u64), events[i].events};
      std::unique_lock<std::mutex> in_use;
      Watcher* watcher;
      {
        std::lock_guard<std::mutex> guard(lock_);
        auto found = watchers_.find(event.id);
        if (found == watchers_.end()) continue;  // removed since epoll_wait answered
        watcher = found->second;
        in_use = watcher->Use();
      }
      bool announce = watcher->Serve(&buffer_, &event.bits);
      in_use.unlock();
      if (announce) Post(event);
    }
  }
}

// One call of the function for all that happened until JavaScript comes round to it.
void EventLoop::Post(Event event) {
  {
    std::lock_guard<std::mutex> guard(lock_);
    events_.push_back(event);
    if (events_.size() > 1) return;
  }
  napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
}

void EventLoop::Call(napi_env env, napi_value, void* context, void*) {
  if (env == nullptr) return;  // the environment is going
  EventLoop* loop = static_cast<Link*>(context)->loop;
  if (loop != nullptr && !loop->deaf_ && !loop->stopping_) loop->Deliver(env);
}

void EventLoop::Deliver(napi_env env) {
  std::list<Event> events;
  {
    std::lock_guard<std::mutex> guard(lock_);
    events.swap(events_);
  }
  for (const Event& event : events) {
    if (watchers_.count(event.id) == 0) continue;  // removed since
    Napi::HandleScope scope(env);
    napi_value receiver, arguments[2];
    napi_get_undefined(env, &receiver);
    napi_create_uint32(env, event.id, &arguments[0]);
    napi_create_uint32(env, event.bits, &arguments[1]);
    if (napi_call_function(env, receiver, handler_.Value(), 2, arguments, nullptr) == napi_ok) continue;
    // What would escape from here is swallowed on some runtimes and fatal on others.
    napi_value exception = nullptr;
    napi_valuetype type = napi_undefined;
    if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_typeof(env, exception, &type);
    if (type == napi_null || type == napi_undefined) {
      // Not an exception but the end: process.exit() in a worker, or its termination. Deno has already forgotten that it
      // ends this environment and would run the handler again, which never returns from its second process.exit().
      deaf_ = true;
      return;
    }
  }
}

}  // namespace nfkit
