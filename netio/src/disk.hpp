// disk: calls that wait for nothing but a disk, or for a lock on a file.
//
// They make the thread wait, unless the program has asked for them to be offloaded (weft::patch_options::files).
#pragma once

#include <atomic>
#include <utility>

#include <weft/detail/offload.hpp>

namespace weft::detail {

// Set once, as a rule before there are fibers; any thread may look.
inline std::atomic<bool> files_are_offloaded{false};

// call(), on a fiber, by another thread if that was asked for. errno is the call's.
template <class Call> auto wait_for_disk(char const* operation, Call&& call) noexcept {
    return files_are_offloaded.load(std::memory_order_relaxed) ? offload(operation, std::forward<Call>(call))
                                                               : call();
}

} // namespace weft::detail
