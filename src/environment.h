// SPDX-License-Identifier: MIT
// What one JavaScript environment (the main thread or a worker) holds. Nothing is shared between environments.
#pragma once

#include <napi.h>

#include "event_loop.h"

namespace nfkit {

class Descriptor;

class Environment {
 public:
  explicit Environment(napi_env env) : env(env), loop(env) {}
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  const napi_env env;
  Napi::FunctionReference descriptor_class;
  Descriptor* descriptors = nullptr;  // every open one, so that none outlives the environment
  EventLoop loop;
  int adopting = -1;                  // the open descriptor that the constructor takes over
};

}  // namespace nfkit
