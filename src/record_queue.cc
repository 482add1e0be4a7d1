// SPDX-License-Identifier: MIT
#include "record_queue.h"

#include <stdlib.h>
#include <string.h>

namespace nfkit {
namespace {

constexpr size_t kChunkBytes = 64 * 1024;

constexpr size_t Padded(size_t length) { return (length + 7) & ~size_t{7}; }

}  // namespace

struct RecordQueue::Chunk {
  Chunk* next;
  size_t capacity;
  size_t used;
  bool sealed;

  uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1); }
};

RecordQueue::~RecordQueue() {
  while (first_ != nullptr) Pop();
}

uint8_t* RecordQueue::Reserve(size_t size) {
  if (last_ == nullptr || last_->sealed || last_->capacity - last_->used < size) {
    size_t capacity = size > kChunkBytes ? size : kChunkBytes;
    Chunk* chunk = static_cast<Chunk*>(malloc(sizeof(Chunk) + capacity));
    if (chunk == nullptr) return nullptr;
    *chunk = {nullptr, capacity, 0, false};
    (last_ == nullptr ? first_ : last_->next) = chunk;
    last_ = chunk;
  }
  uint8_t* at = last_->bytes() + last_->used;
  last_->used += size;
  bytes_ += size;
  return at;
}

bool RecordQueue::Append(RecordKind kind, uint32_t value, const Received& received) {
  size_t name_size = Padded(received.address_length);
  size_t address_length = received.control_length > 0 ? name_size + received.control_length : received.address_length;
  size_t address_size = Padded(address_length);
  size_t size = sizeof(RecordHeader) + address_size + Padded(received.length);
  uint8_t* at = Reserve(size);
  if (at == nullptr) return false;
  const RecordHeader header = {static_cast<uint32_t>(size), kind, static_cast<uint16_t>(address_length),
                               static_cast<uint32_t>(received.length), value};
  uint8_t* end = at + size;
  memcpy(at, &header, sizeof(header));
  at += sizeof(header);
  // The padding goes to JavaScript too: zeros, not what the memory held before.
  if (received.address_length > 0) {
    memset(at + name_size - 8, 0, 8);
    memcpy(at, received.address, received.address_length);
  }
  if (received.control_length > 0) {
    memset(at + address_size - 8, 0, 8);
    memcpy(at + name_size, received.control, received.control_length);
  }
  at += address_size;
  if (received.length > 0) {
    memset(end - 8, 0, 8);
    memcpy(at, received.data, received.length);
  }
  return true;
}

void RecordQueue::Data(const Received& received) {
  if (owes_overrun_) Overrun();
  uint32_t value = received.true_length > received.length ? static_cast<uint32_t>(received.true_length) : 0;
  if (Append(kData, value, received)) {
    ends_with_overrun_ = false;
  } else {
    Overrun();
  }
}

void RecordQueue::Overrun() {
  if (ends_with_overrun_) return;
  ends_with_overrun_ = Append(kOverrun, 0, {});
  owes_overrun_ = !ends_with_overrun_;
}

void RecordQueue::Error(int error) {
  if (owes_overrun_) Overrun();
  if (Append(kError, static_cast<uint32_t>(error), {})) ends_with_overrun_ = false;
}

bool RecordQueue::Front(const uint8_t** data, size_t* size) {
  if (first_ == nullptr) return false;
  first_->sealed = true;
  *data = first_->bytes();
  *size = first_->used;
  return true;
}

void RecordQueue::Pop() {
  Chunk* chunk = first_;
  first_ = chunk->next;
  if (first_ == nullptr) {
    last_ = nullptr;
    // What is lost from now on is news to whoever took the last record.
    ends_with_overrun_ = false;
  }
  bytes_ -= chunk->used;
  free(chunk);
}

}  // namespace nfkit
