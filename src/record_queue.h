// SPDX-License-Identifier: MIT
// The records that a watched descriptor has waiting for JavaScript, in chunks that are handed over whole. The layout of
// a record is described in event_loop.h. Not synchronised: the watcher's lock guards it.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace nfkit {

enum RecordKind : uint16_t { kData = 0, kOverrun = 1, kError = 2 };

struct RecordHeader {
  uint32_t size;
  uint16_t kind;
  uint16_t address_length;
  uint32_t data_length;
  uint32_t value;
};
static_assert(sizeof(RecordHeader) == 16, "lib/events.ts reads this layout");

struct Received {
  const void* address;
  size_t address_length;
  const void* control;  // the control messages, cmsg(3)
  size_t control_length;
  const void* data;
  size_t length;       // of what is there
  size_t true_length;  // of what the kernel had
};

class RecordQueue {
 public:
  RecordQueue() = default;
  ~RecordQueue();
  RecordQueue(const RecordQueue&) = delete;
  RecordQueue& operator=(const RecordQueue&) = delete;

  void Data(const Received& received);
  // Something was lost. Says so once for each place in the queue.
  void Overrun();
  void Error(int error);

  size_t bytes() const { return bytes_; }

  // Taking is done in two steps, so that memory for the copy is allocated without the lock. Between Front and Pop the
  // chunk stays where it is and nothing is added to it.
  bool Front(const uint8_t** data, size_t* size);
  void Pop();

 private:
  struct Chunk;

  uint8_t* Reserve(size_t size);
  bool Append(RecordKind kind, uint32_t value, const Received& received);

  Chunk* first_ = nullptr;
  Chunk* last_ = nullptr;
  size_t bytes_ = 0;
  bool ends_with_overrun_ = false;
  bool owes_overrun_ = false;  // there was no memory to write it
};

}  // namespace nfkit
