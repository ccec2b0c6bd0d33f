// call_counts: what a worker's fibers have done so far, for people to read.
//
// Each worker counts on its own thread, without atomics: a count costs one instruction.
#pragma once

#include <cstdint>

namespace weft::detail {

struct call_counts {
    std::uint64_t parked = 0;    // waits that gave the thread away
    std::uint64_t patched = 0;   // calls of libc that a fiber made, and weft carried out
    std::uint64_t offloaded = 0; // calls that another thread carried out
};

// The calling thread's.
extern __thread call_counts thread_counts __attribute__((tls_model("initial-exec")));

} // namespace weft::detail
