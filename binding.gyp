{
  "targets": [{
    "target_name": "nfkit",
    "sources": [
      "src/addon.cc", "src/descriptor.cc", "src/event_loop.cc", "src/namespace.cc", "src/record_queue.cc",
      "src/thread.cc", "src/watcher.cc"
    ],
    "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
    "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "_GNU_SOURCE"],
    # No exceptions towards JavaScript; within the addon, thread.cc has to catch one.
    "cflags_cc!": ["-fno-exceptions"],
    "cflags_cc": ["-std=c++17", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden"]
  }]
}
