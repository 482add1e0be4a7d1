// SPDX-License-Identifier: MIT
// The addon hands over bytes and knows no protocol. Every function answers a number, negative (-errno) on failure, or
// a Descriptor; none throws.
#include <fcntl.h>
#include <sys/mount.h>

#include "call.h"
#include "descriptor.h"
#include "environment.h"
#include "namespace.h"

namespace nfkit {

Environment::~Environment() {
  loop.Stop();
  while (descriptors != nullptr) descriptors->Close();
}

namespace {

Environment* Of(const Call& call) { return static_cast<Environment*>(call.data); }

napi_value Socket(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int domain, type, protocol, netns;
  if (!call.Int(0, &domain) || !call.Int(1, &type) || !call.Int(2, &protocol) || !call.Int(3, &netns)) {
    return call.Answer(-EINVAL);
  }
  return Descriptor::Answer(Of(call), call, OpenSocket(domain, type, protocol, netns));
}

napi_value Open(napi_env env, napi_callback_info info) {
  Call call(env, info);
  std::string path;
  int flags, mode, netns;
  if (!call.Text(0, &path) || !call.Int(1, &flags) || !call.Int(2, &mode) || !call.Int(3, &netns)) {
    return call.Answer(-EINVAL);
  }
  return Descriptor::Answer(Of(call), call, OpenFile(path.c_str(), flags, static_cast<mode_t>(mode), netns));
}

napi_value NewNetns(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return Descriptor::Answer(Of(call), call, CreateNetns());
}

napi_value Mount(napi_env env, napi_callback_info info) {
  Call call(env, info);
  std::string source, target, type;
  int64_t flags;
  if (!call.Text(0, &source) || !call.Text(1, &target) || !call.Text(2, &type) || !call.Integer(3, 0, UINT32_MAX, &flags)) {
    return call.Answer(-EINVAL);
  }
  int result = mount(source.c_str(), target.c_str(), type.c_str(), static_cast<unsigned long>(flags), nullptr);
  return call.Answer(result < 0 ? -errno : 0);
}

napi_value Unmount(napi_env env, napi_callback_info info) {
  Call call(env, info);
  std::string target;
  int flags;
  if (!call.Text(0, &target) || !call.Int(1, &flags)) return call.Answer(-EINVAL);
  return call.Answer(umount2(target.c_str(), flags) < 0 ? -errno : 0);
}

napi_value OnEvent(napi_env env, napi_callback_info info) {
  Call call(env, info);
  napi_valuetype type;
  napi_value handler = call.Argument(0);
  if (handler != nullptr && napi_typeof(env, handler, &type) == napi_ok && type == napi_function) Of(call)->loop.SetHandler(handler);
  return nullptr;
}

napi_value SetReferenced(napi_env env, napi_callback_info info) {
  Call call(env, info);
  bool referenced;
  if (call.Argument(0) != nullptr && napi_get_value_bool(env, call.Argument(0), &referenced) == napi_ok) {
    Of(call)->loop.SetReferenced(referenced);
  }
  return nullptr;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  Environment* environment = new Environment(env);
  environment->descriptor_class = Napi::Persistent(Descriptor::Define(environment));
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {
      {"socket", Socket}, {"open", Open}, {"createNetns", NewNetns}, {"mount", Mount}, {"unmount", Unmount},
      {"onEvent", OnEvent}, {"setReferenced", SetReferenced},
  };
  for (const auto& entry : functions) {
    napi_value function;
    if (napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.function, environment, &function) != napi_ok) continue;
    napi_set_named_property(env, exports, entry.name, function);
  }
  // A worker can be terminated at any moment: then this is what closes its descriptors.
  napi_add_env_cleanup_hook(
      env, [](void* data) { delete static_cast<Environment*>(data); }, environment);
  return exports;
}

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)

}  // namespace
}  // namespace nfkit
