// SPDX-License-Identifier: MIT
#include "descriptor.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace nfkit {
namespace {

// Lengths go to JavaScript as 32-bit numbers; the kernel moves no more than this at once either.
constexpr size_t kMostBytes = 0x7ffff000;

template <typename SystemCall>
int Retry(const SystemCall& call) {
  ssize_t result;
  do result = call();
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : static_cast<int>(result);
}

// The part of `bytes` from the offset in argument `index` on.
bool Tail(const Call& call, size_t index, Bytes* bytes) {
  int64_t offset;
  if (!call.Integer(index, 0, static_cast<int64_t>(bytes->size), &offset)) return false;
  bytes->data += offset;
  bytes->size -= static_cast<size_t>(offset);
  if (bytes->size > kMostBytes) bytes->size = kMostBytes;
  return true;
}

// Argument `index`, if given, names the pointers within buffers: holder, offset, target, and so on by threes. They are
// written just before the system call, when nothing can move the buffers any more.
bool PatchPointers(const Call& call, size_t index) {
  uint32_t count = 0;
  napi_value list = call.Argument(index);
  if (!call.Has(index)) return true;
  if (napi_get_array_length(call.env, list, &count) != napi_ok || count % 3 != 0) return false;
  for (uint32_t i = 0; i < count; i += 3) {
    Bytes holder, target;
    double offset;
    napi_value value;
    if (!call.ViewOf(list, i, &holder) || !call.ViewOf(list, i + 2, &target) ||
        napi_get_element(call.env, list, i + 1, &value) != napi_ok ||
        napi_get_value_double(call.env, value, &offset) != napi_ok ||
        !(offset >= 0 && offset + sizeof(void*) <= static_cast<double>(holder.size))) {
      return false;
    }
    memcpy(holder.data + static_cast<size_t>(offset), &target.data, sizeof(void*));
  }
  return true;
}

sockaddr* Address(const Bytes& bytes) { return reinterpret_cast<sockaddr*>(bytes.data); }

napi_property_descriptor Property(const char* name, napi_callback method, napi_callback getter = nullptr) {
  return {name, nullptr, method, getter, nullptr, nullptr, napi_default, nullptr};
}

}  // namespace

Napi::Function Descriptor::Define(Environment* environment) {
  return DefineClass(environment->env, "Descriptor",
                     {
                         Property("fd", nullptr, Fd),
                         Property("bind", Invoke<&Descriptor::Bind>),
                         Property("connect", Invoke<&Descriptor::Connect>),
                         Property("listen", Invoke<&Descriptor::Listen>),
                         Property("accept", Accept),
                         Property("localAddress", Invoke<&Descriptor::LocalAddress>),
                         Property("setOption", Invoke<&Descriptor::SetOption>),
                         Property("getOption", Invoke<&Descriptor::GetOption>),
                         Property("ioctl", Invoke<&Descriptor::Ioctl>),
                         Property("flock", Invoke<&Descriptor::Flock>),
                         Property("send", Invoke<&Descriptor::Send>),
                         Property("receive", Invoke<&Descriptor::Receive>),
                         Property("read", Invoke<&Descriptor::Read>),
                         Property("write", Invoke<&Descriptor::Write>),
                         Property("shutdown", Invoke<&Descriptor::Shutdown>),
                         Property("watch", Invoke<&Descriptor::Watch>),
                         Property("arm", Invoke<&Descriptor::Arm>),
                         Property("take", Take),
                         Property("unwatch", Invoke<&Descriptor::Unwatch>),
                         Property("close", Invoke<&Descriptor::Close>),
                     },
                     environment);
}

napi_value Descriptor::Answer(Environment* environment, const Call& call, int fd) {
  if (fd < 0) return call.Answer(fd);
  environment->adopting = fd;
  Napi::Object object = environment->descriptor_class.New({});
  if (environment->adopting < 0 && !object.IsEmpty()) return object;
  // The object could not be made: the environment is ending or out of memory.
  if (environment->adopting >= 0) close(fd);
  environment->adopting = -1;
  return nullptr;
}

// Made by JavaScript (`new descriptor.constructor()`), it is a closed one.
Descriptor::Descriptor(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Descriptor>(info) {
  Environment* environment = static_cast<Environment*>(info.Data());
  if (environment->adopting < 0) return;
  fd_ = environment->adopting;
  environment->adopting = -1;
  environment_ = environment;
  next_ = environment->descriptors;
  if (next_ != nullptr) next_->previous_ = this;
  environment->descriptors = this;
}

Descriptor::~Descriptor() { Close(); }

int Descriptor::Close() {
  if (environment_ == nullptr) return 0;
  Unwatch();
  (previous_ != nullptr ? previous_->next_ : environment_->descriptors) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  previous_ = next_ = nullptr;
  environment_ = nullptr;
  int fd = fd_;
  fd_ = -1;
  // Linux has freed the number even if it answers EINTR, so close is never repeated.
  return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

Descriptor* Descriptor::Of(const Call& call) {
  void* descriptor;
  if (call.self == nullptr || napi_unwrap(call.env, call.self, &descriptor) != napi_ok) return nullptr;
  return static_cast<Descriptor*>(descriptor);
}

template <Descriptor::Method method>
napi_value Descriptor::Invoke(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Descriptor* self = Of(call);
  return call.Answer(self == nullptr ? -EINVAL : (self->*method)(call));
}

napi_value Descriptor::Fd(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Descriptor* self = Of(call);
  return call.Answer(self == nullptr ? -1 : self->fd_);
}

napi_value Descriptor::Accept(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Descriptor* self = Of(call);
  if (self == nullptr) return call.Answer(-EINVAL);
  // Unlike elsewhere, on Linux the new socket does not inherit O_NONBLOCK, and a stream that could block would stall
  // the whole program.
  int status = fcntl(self->fd_, F_GETFL);
  int flags = SOCK_CLOEXEC | (status >= 0 && (status & O_NONBLOCK) != 0 ? SOCK_NONBLOCK : 0);
  int fd = Retry([&] { return accept4(self->fd_, nullptr, nullptr, flags); });
  return Answer(self->environment_, call, fd);
}

napi_value Descriptor::Take(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Descriptor* self = Of(call);
  if (self != nullptr && self->watcher_ != nullptr) {
    int wait = 0;
    if (call.Has(0) && (!call.Int(0, &wait) || wait < 0)) wait = 0;
    return self->watcher_->Take(env, wait);
  }
  napi_value nothing = nullptr;
  napi_get_null(env, &nothing);
  return nothing;
}

int Descriptor::Bind(const Call& call) {
  Bytes address;
  if (!call.View(0, &address)) return -EINVAL;
  return Retry([&] { return bind(fd_, Address(address), static_cast<socklen_t>(address.size)); });
}

int Descriptor::Connect(const Call& call) {
  Bytes address;
  if (!call.View(0, &address)) return -EINVAL;
  // An interrupted connect goes on in the background: to repeat it would answer EALREADY, so EINTR is passed on.
  return connect(fd_, Address(address), static_cast<socklen_t>(address.size)) < 0 ? -errno : 0;
}

int Descriptor::Listen(const Call& call) {
  int backlog;
  if (!call.Int(0, &backlog)) return -EINVAL;
  return listen(fd_, backlog) < 0 ? -errno : 0;
}

int Descriptor::LocalAddress(const Call& call) {
  Bytes into;
  if (!call.View(0, &into)) return -EINVAL;
  socklen_t size = static_cast<socklen_t>(into.size);
  return getsockname(fd_, Address(into), &size) < 0 ? -errno : static_cast<int>(size);
}

int Descriptor::SetOption(const Call& call) {
  int level, name;
  Bytes value;
  if (!call.Int(0, &level) || !call.Int(1, &name) || !call.View(2, &value) || value.size > kMostBytes ||
      !PatchPointers(call, 3)) {
    return -EINVAL;
  }
  return Retry([&] { return setsockopt(fd_, level, name, value.data, static_cast<socklen_t>(value.size)); });
}

int Descriptor::GetOption(const Call& call) {
  int level, name;
  Bytes value;
  if (!call.Int(0, &level) || !call.Int(1, &name) || !call.View(2, &value) || value.size > kMostBytes) return -EINVAL;
  socklen_t size;
  int result = Retry([&] {
    size = static_cast<socklen_t>(value.size);
    return getsockopt(fd_, level, name, value.data, &size);
  });
  return result < 0 ? result : static_cast<int>(size);
}

int Descriptor::Ioctl(const Call& call) {
  int64_t request;
  Bytes argument;
  if (!call.Integer(0, 0, UINT32_MAX, &request) || !call.View(1, &argument) || !PatchPointers(call, 2)) return -EINVAL;
  return Retry([&] { return ioctl(fd_, static_cast<unsigned long>(request), argument.data); });
}

int Descriptor::Flock(const Call& call) {
  int operation;
  if (!call.Int(0, &operation)) return -EINVAL;
  return Retry([&] { return flock(fd_, operation); });
}

int Descriptor::Send(const Call& call) {
  int flags;
  Bytes data, address;
  if (!call.View(0, &data) || !call.Int(1, &flags)) return -EINVAL;
  if (call.Has(2) && !call.View(2, &address)) return -EINVAL;
  if (data.size > kMostBytes) data.size = kMostBytes;
  sockaddr* to = address.size == 0 ? nullptr : Address(address);
  // A peer that is gone shall be EPIPE; SIGPIPE would end the program on some runtimes.
  return Retry([&] { return sendto(fd_, data.data, data.size, flags | MSG_NOSIGNAL, to, static_cast<socklen_t>(address.size)); });
}

int Descriptor::Receive(const Call& call) {
  int flags;
  Bytes into, sender;
  if (!call.View(0, &into) || !Tail(call, 1, &into) || !call.Int(2, &flags)) return -EINVAL;
  if (!call.Has(3)) {
    // recvfrom is recvmsg without a msghdr to copy in and out.
    return Retry([&] { return recvfrom(fd_, into.data, into.size, flags, nullptr, nullptr); });
  }
  if (!call.View(3, &sender)) return -EINVAL;
  socklen_t size;
  int result = Retry([&] {
    size = static_cast<socklen_t>(sender.size);
    return recvfrom(fd_, into.data, into.size, flags, Address(sender), &size);
  });
  // No address: AF_UNSPEC rather than what was there before.
  if (result >= 0 && size == 0 && sender.size > 0) memset(sender.data, 0, sender.size);
  return result;
}

int Descriptor::Read(const Call& call) {
  Bytes into;
  if (!call.View(0, &into) || !Tail(call, 1, &into)) return -EINVAL;
  return Retry([&] { return read(fd_, into.data, into.size); });
}

int Descriptor::Write(const Call& call) {
  Bytes data;
  if (!call.View(0, &data)) return -EINVAL;
  if (data.size > kMostBytes) data.size = kMostBytes;
  return Retry([&] { return write(fd_, data.data, data.size); });
}

int Descriptor::Shutdown(const Call& call) {
  int how;
  if (!call.Int(0, &how)) return -EINVAL;
  return shutdown(fd_, how) < 0 ? -errno : 0;
}

int Descriptor::Watch(const Call& call) {
  int64_t id, mode, limit;
  if (!call.Integer(0, 0, UINT32_MAX, &id) || !call.Integer(1, 0, 2, &mode) || !call.Integer(2, mode == 0 ? 0 : 1, INT64_C(1) << 53, &limit)) {
    return -EINVAL;
  }
  if (environment_ == nullptr) return -EBADF;
  Unwatch();
  return environment_->loop.Watch(fd_, static_cast<uint32_t>(id), static_cast<WatchMode>(mode), static_cast<size_t>(limit), &watcher_);
}

void Descriptor::Unwatch() {
  if (watcher_ == nullptr) return;
  environment_->loop.Remove(watcher_.get());
  watcher_.reset();
}

int Descriptor::Arm(const Call& call) {
  int64_t events;
  if (!call.Integer(0, 0, UINT32_MAX, &events) || watcher_ == nullptr) return -EINVAL;
  return watcher_->Arm(static_cast<uint32_t>(events));
}

int Descriptor::Unwatch(const Call&) {
  Unwatch();
  return 0;
}

int Descriptor::Close(const Call&) { return Close(); }

}  // namespace nfkit
