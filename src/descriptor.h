// SPDX-License-Identifier: MIT
// The JavaScript object that owns one file descriptor: `RawDescriptor` of lib/native.ts.
#pragma once

#include <napi.h>

#include <memory>

#include "call.h"
#include "environment.h"
#include "watcher.h"

namespace nfkit {

class Descriptor : public Napi::ObjectWrap<Descriptor> {
 public:
  static Napi::Function Define(Environment* environment);
  // The object for `fd`, or the number itself if it is negative (-errno). Owns `fd` whatever happens.
  static napi_value Answer(Environment* environment, const Call& call, int fd);

  explicit Descriptor(const Napi::CallbackInfo& info);
  ~Descriptor() override;

  int Close();

 private:
  friend class Environment;
  using Method = int (Descriptor::*)(const Call&);

  template <Method method>
  static napi_value Invoke(napi_env env, napi_callback_info info);
  static napi_value Fd(napi_env env, napi_callback_info info);
  static napi_value Accept(napi_env env, napi_callback_info info);
  static napi_value Take(napi_env env, napi_callback_info info);
  static Descriptor* Of(const Call& call);

  int Bind(const Call& call);
  int Connect(const Call& call);
  int Listen(const Call& call);
  int LocalAddress(const Call& call);
  int SetOption(const Call& call);
  int GetOption(const Call& call);
  int Ioctl(const Call& call);
  int Flock(const Call& call);
  int Send(const Call& call);
  int Receive(const Call& call);
  int Read(const Call& call);
  int Write(const Call& call);
  int Shutdown(const Call& call);
  int Watch(const Call& call);
  int Arm(const Call& call);
  int Unwatch(const Call& call);
  int Close(const Call& call);
  void Unwatch();

  Environment* environment_ = nullptr;  // null once closed
  Descriptor* previous_ = nullptr;
  Descriptor* next_ = nullptr;
  int fd_ = -1;
  std::unique_ptr<Watcher> watcher_;
};

}  // namespace nfkit
