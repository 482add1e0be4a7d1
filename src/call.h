// SPDX-License-Identifier: MIT
// One call from JavaScript, read with plain Node-API functions: on the hot paths (receive, send) a call costs little
// more than its system call, so nothing here allocates. A wrong kind of argument is a false answer, never an exception.
#pragma once

#include <errno.h>
#include <napi.h>

#include <string>

namespace nfkit {

struct Bytes {
  uint8_t* data = nullptr;
  size_t size = 0;
};

class Call {
 public:
  Call(napi_env env, napi_callback_info info) : env(env) {
    if (napi_get_cb_info(env, info, &count_, arguments_, &self, &data) != napi_ok) count_ = 0;
  }

  bool Has(size_t index) const {
    if (index >= count_) return false;
    napi_valuetype type;
    return napi_typeof(env, arguments_[index], &type) == napi_ok && type != napi_undefined && type != napi_null;
  }

  // Any number outside the range is refused: a descriptor or an option must not change by wrapping around.
  bool Integer(size_t index, int64_t low, int64_t high, int64_t* value) const {
    double number;
    if (index >= count_ || napi_get_value_double(env, arguments_[index], &number) != napi_ok) return false;
    if (!(number >= static_cast<double>(low) && number <= static_cast<double>(high))) return false;
    *value = static_cast<int64_t>(number);
    return true;
  }

  bool Int(size_t index, int* value) const {
    int64_t wide;
    // Flags and option names are sometimes written as unsigned numbers.
    if (!Integer(index, INT32_MIN, UINT32_MAX, &wide)) return false;
    *value = static_cast<int>(wide);
    return true;
  }

  bool View(size_t index, Bytes* bytes) const { return index < count_ && ViewOf(arguments_[index], bytes); }

  // The bytes at `index` of an array.
  bool ViewOf(napi_value array, uint32_t index, Bytes* bytes) const {
    napi_value element;
    return napi_get_element(env, array, index, &element) == napi_ok && ViewOf(element, bytes);
  }

  // A string for the kernel: one that holds a NUL byte would be cut short there.
  bool Text(size_t index, std::string* text) const {
    size_t length;
    if (index >= count_ || napi_get_value_string_utf8(env, arguments_[index], nullptr, 0, &length) != napi_ok) return false;
    text->resize(length + 1);
    if (napi_get_value_string_utf8(env, arguments_[index], &(*text)[0], length + 1, &length) != napi_ok) return false;
    text->resize(length);
    return text->find('\0') == std::string::npos;
  }

  napi_value Argument(size_t index) const { return index < count_ ? arguments_[index] : nullptr; }

  napi_value Answer(int number) const {
    napi_value value = nullptr;
    napi_create_int32(env, number, &value);
    return value;
  }

  const napi_env env;
  napi_value self = nullptr;
  void* data = nullptr;

 private:
  bool ViewOf(napi_value value, Bytes* bytes) const {
    napi_typedarray_type type;
    void* data = nullptr;
    if (napi_get_typedarray_info(env, value, &type, &bytes->size, &data, nullptr, nullptr) != napi_ok) return false;
    bytes->data = static_cast<uint8_t*>(data);
    return type == napi_uint8_array;
  }

  static constexpr size_t kMost = 4;
  size_t count_ = kMost;
  napi_value arguments_[kMost];
};

}  // namespace nfkit
