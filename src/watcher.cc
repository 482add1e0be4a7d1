// SPDX-License-Identifier: MIT
#include "watcher.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>

// glibc 2.34 gave this function a new version when libpthread became part of libc; the old one is the same and is there
// on every system that the runtimes support.
#if defined(__GLIBC__) && defined(__x86_64__)
__asm__(".symver pthread_condattr_setclock, pthread_condattr_setclock@GLIBC_2.3.3");
#elif defined(__GLIBC__) && defined(__aarch64__)
__asm__(".symver pthread_condattr_setclock, pthread_condattr_setclock@GLIBC_2.17");
#endif

namespace nfkit {
namespace {

// After so many batches from one descriptor it is the others' turn; epoll reports it again.
constexpr int kBatches = 8;
// So many failures or empty wake-ups in a row do not pass by themselves: to go on would only keep a processor busy.
constexpr unsigned kPatience = 16;
// What a datagram commonly takes at most, for an estimate of how many fit.
constexpr size_t kLargeDatagram = 64 * 1024;

constexpr uint32_t kInterest = EPOLLIN | EPOLLRDHUP;

int SocketOption(int fd, int name, int* value) {
  socklen_t size = sizeof(*value);
  return getsockopt(fd, SOL_SOCKET, name, value, &size) < 0 ? -errno : 0;
}

}  // namespace

ReceiveBuffer::~ReceiveBuffer() {
  if (memory_ != nullptr) munmap(memory_, kStride * kSlots);
}

int ReceiveBuffer::Allocate() {
  if (memory_ != nullptr) return 0;
  void* memory = mmap(nullptr, kStride * kSlots, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  memory_ = static_cast<uint8_t*>(memory);
  memset(messages_, 0, sizeof(messages_));
  memset(controls_, 0, sizeof(controls_));
  for (unsigned slot = 0; slot < kSlots; slot++) {
    parts_[slot] = {memory_ + slot * kStride, kSlotBytes};
    messages_[slot].msg_hdr.msg_iov = &parts_[slot];
    messages_[slot].msg_hdr.msg_iovlen = 1;
  }
  return 0;
}

int ReceiveBuffer::Receive(int fd, unsigned most, bool addresses) {
  for (unsigned slot = 0; slot < most; slot++) {
    messages_[slot].msg_hdr.msg_name = addresses ? &addresses_[slot] : nullptr;
    messages_[slot].msg_hdr.msg_namelen = addresses ? sizeof(addresses_[slot]) : 0;
    messages_[slot].msg_hdr.msg_control = addresses ? &controls_[slot] : nullptr;
    messages_[slot].msg_hdr.msg_controllen = addresses ? sizeof(controls_[slot]) : 0;
  }
  // With MSG_TRUNC the length of a datagram is its true one. The socket itself may well be a blocking one.
  int count = recvmmsg(fd, messages_, most, MSG_DONTWAIT | MSG_TRUNC, nullptr);
  return count < 0 ? -errno : count;
}

Received ReceiveBuffer::operator[](unsigned slot) const {
  const mmsghdr& message = messages_[slot];
  size_t length = message.msg_len < kSlotBytes ? message.msg_len : kSlotBytes;
  return {&addresses_[slot], message.msg_hdr.msg_namelen, &controls_[slot], message.msg_hdr.msg_controllen,
          parts_[slot].iov_base, length, message.msg_len};
}

int Watcher::CheckQueued(int fd, int* domain) {
  int type;
  int error = SocketOption(fd, SO_TYPE, &type);
  if (error == 0) error = SocketOption(fd, SO_DOMAIN, domain);
  if (error == 0 && type != SOCK_DGRAM && type != SOCK_RAW) error = -ESOCKTNOSUPPORT;
  return error;
}

// The sender of a netlink message is the kernel, so its address would only take room.
Watcher::Watcher(uint32_t id, int fd, int epoll, WatchMode mode, size_t limit, int domain)
    : id(id), fd_(fd), epoll_(epoll), mode_(mode), limit_(limit),
      addresses_(domain == AF_PACKET || domain == AF_INET || domain == AF_INET6) {
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&filled_, &monotonic);
  pthread_condattr_destroy(&monotonic);
}

int Watcher::Control(int operation, uint32_t events) {
  epoll_event event;
  event.events = events;
  event.data.u64 = id;
  return epoll_ctl(epoll_, operation, fd_, &event) < 0 ? -errno : 0;
}

int Watcher::Start() { return mode_ == WatchMode::readiness ? 0 : Control(EPOLL_CTL_ADD, kInterest); }

// Registered with the first arm only: even without any interest epoll would report errors and hang-ups.
int Watcher::Arm(uint32_t events) {
  if (mode_ != WatchMode::readiness) return -EINVAL;
  events &= EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP;
  if (events == 0) {
    if (registered_) Control(EPOLL_CTL_DEL, 0);
    registered_ = false;
    return 0;
  }
  int error = Control(registered_ ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, events | EPOLLONESHOT);
  if (error == 0) registered_ = true;
  return error;
}

// With the lock held.
bool Watcher::WaitForRecords(int wait, const uint8_t** data, size_t* size) {
  timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += wait / 1000;
  until.tv_nsec += wait % 1000 * 1000000L;
  if (until.tv_nsec >= 1000000000L) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000L;
  }
  waiting_ = true;
  bool filled;
  while (!(filled = queue_.Front(data, size)) && pthread_cond_timedwait(&filled_, lock_.native_handle(), &until) == 0) {
  }
  waiting_ = false;
  return filled || queue_.Front(data, size);
}

napi_value Watcher::Take(napi_env env, int wait) {
  napi_value nothing = nullptr;
  napi_get_null(env, &nothing);
  const uint8_t* data;
  size_t size;
  {
    std::lock_guard<std::mutex> guard(lock_);
    if (!queue_.Front(&data, &size) && !(wait > 0 && WaitForRecords(wait, &data, &size))) {
      announced_ = false;
      return nothing;
    }
  }
  // Without the lock: this may run the garbage collector. A failure leaves the chunk where it is.
  void* copy;
  napi_value buffer, bytes;
  if (napi_create_arraybuffer(env, size, &copy, &buffer) != napi_ok ||
      napi_create_typedarray(env, napi_uint8_array, size, buffer, 0, &bytes) != napi_ok) {
    return nothing;
  }
  memcpy(copy, data, size);
  std::lock_guard<std::mutex> guard(lock_);
  queue_.Pop();
  if (paused_ && !ended_ && queue_.bytes() < limit_) {
    int error = Control(EPOLL_CTL_ADD, kInterest);
    paused_ = false;
    ended_ = error < 0;
    if (ended_) queue_.Error(-error);
  }
  return bytes;
}

void Watcher::Stop() {
  stopping_ = true;  // the epoll thread, which may be busy with this one, looks at it after each batch
  std::lock_guard<std::mutex> guard(in_use_);
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd_, nullptr);  // not there when paused, ended or never armed: no matter
}

bool Watcher::Serve(ReceiveBuffer* buffer, uint32_t* events) {
  if (stopping_) return false;
  if (mode_ == WatchMode::readiness) {
    *events &= EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP;
    return *events != 0;
  }
  bool announce = Receive(buffer, *events);
  *events = 0;
  return announce;
}

bool Watcher::Receive(ReceiveBuffer* buffer, uint32_t events) {
  bool announce = false;
  bool any = false;
  const bool hung_up = (events & (EPOLLHUP | EPOLLRDHUP)) != 0;  // a socket that was shut down counts as readable, too
  for (int batch = 0; batch < kBatches && !stopping_; batch++) {
    unsigned most = ReceiveBuffer::kSlots;
    {
      std::lock_guard<std::mutex> guard(lock_);
      if (paused_ || ended_) return announce;
      if (mode_ == WatchMode::pause && queue_.bytes() < limit_) {
        // What is received has to be kept, so not many more than fit.
        size_t fit = (limit_ - queue_.bytes()) / kLargeDatagram + 1;
        if (fit < most) most = static_cast<unsigned>(fit);
      }
    }
    int count = buffer->Receive(fd_, most, addresses_);
    if (count == -EINTR) continue;
    if (count == -EAGAIN) {
      errors_ = 0;
      if (overrun_due_) {
        overrun_due_ = false;
        std::lock_guard<std::mutex> guard(lock_);
        queue_.Overrun();
        announce |= Announce();
      } else if (!any && (hung_up || (events & EPOLLIN) == 0) && ++idle_ > kPatience) {
        announce |= Fail(hung_up ? ESHUTDOWN : EIO, true);
      }
      return announce;
    }
    idle_ = 0;
    if (count < 0) {
      bool again = count == last_error_ && errors_ > 0;
      last_error_ = count;
      bool final = ++errors_ > kPatience;
      if (count == -ENOBUFS && !final) {
        // The kernel had no room for what came after all that is queued now, and says so first. The record goes where
        // the gap is: a listener that reads the whole state when it meets the overrun must not go on to read what is
        // older than that state. A queue that never runs empty cannot hold more than its limit.
        int room = 0;
        SocketOption(fd_, SO_RCVBUF, &room);
        if (overrun_due_) {
          std::lock_guard<std::mutex> guard(lock_);
          queue_.Overrun();
          announce |= Announce();
        }
        overrun_due_ = true;
        until_overrun_ = static_cast<size_t>(room);
      } else if (!again || final) {
        announce |= Fail(-count, final);
      }
      if (final) return announce;
      continue;
    }
    any = true;
    errors_ = 0;
    bool end = false;
    std::lock_guard<std::mutex> guard(lock_);
    for (unsigned slot = 0; slot < static_cast<unsigned>(count); slot++) {
      Received received = (*buffer)[slot];
      if (received.true_length == 0 && received.address_length == 0 && hung_up) {
        end = true;  // shut down: it would answer so for ever
        break;
      }
      if (mode_ == WatchMode::drop && queue_.bytes() >= limit_) {
        queue_.Overrun();
      } else {
        queue_.Data(received);
      }
      if (overrun_due_) until_overrun_ -= until_overrun_ < received.true_length ? until_overrun_ : received.true_length;
    }
    if (overrun_due_ && (static_cast<unsigned>(count) < most || until_overrun_ == 0)) {
      overrun_due_ = false;
      queue_.Overrun();
    }
    if (end) {
      ended_ = true;
      Control(EPOLL_CTL_DEL, 0);
      queue_.Error(ESHUTDOWN);
    } else if (mode_ == WatchMode::pause && queue_.bytes() >= limit_) {
      // Taken out, not only without interest: an error that waits would be reported again and again.
      paused_ = true;
      Control(EPOLL_CTL_DEL, 0);
    }
    announce |= Announce();
    // Fewer than asked for: it is empty, or an error waits, which epoll reports.
    if (end || paused_ || static_cast<unsigned>(count) < most) return announce;
  }
  return announce;
}

// With the lock held.
bool Watcher::Announce() {
  if (queue_.bytes() == 0) return false;
  if (waiting_) {
    pthread_cond_signal(&filled_);
    return false;
  }
  if (announced_) return false;
  announced_ = true;
  return true;
}

bool Watcher::Fail(int error, bool final) {
  std::lock_guard<std::mutex> guard(lock_);
  if (final) {
    ended_ = true;
    Control(EPOLL_CTL_DEL, 0);
  }
  // A full queue says already that something is missing; only the end must be told in any case.
  if (final || queue_.bytes() < limit_) {
    queue_.Error(error);
  } else {
    queue_.Overrun();
  }
  return Announce();
}

}  // namespace nfkit
