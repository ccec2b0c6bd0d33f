// on_fiber: the one question with which every patched call begins.
#pragma once

#include <weft/detail/call_counts.hpp>
#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

// Whether the caller is a fiber, whose call must not block the thread; such a call is counted. Elsewhere the call is
// libc's, and this one branch is all that it costs.
inline bool on_fiber() noexcept {
    if (current_fiber == nullptr)
        return false;
    ++thread_counts.patched;
    return true;
}

} // namespace weft::detail
