// ended_wait: what a patched call says when something else than what it waited for has ended its wait.
#pragma once

#include <cerrno>

#include <weft/detail/fiber_core.hpp>
#include <weft/detail/scope.hpp>

namespace weft::detail {

// EINTR or ECANCELED if a handler or the fiber's cancellation has ended the wait; otherwise 0.
inline int ended_by(wake_cause cause) noexcept {
    return cause == wake_cause::interrupted ? EINTR : cause == wake_cause::cancelled ? ECANCELED : 0;
}

// Whether the calling fiber is cancelled, with ECANCELED: a call that may wait begins so, as it is to fail even if it needn't.
inline bool fails_as_cancelled() noexcept {
    if (current_fiber->scope == nullptr)
        return false;
    scope_node* const by = end_by_cancelled(current_fiber->scope);
    if (by == nullptr)
        return false;
    by->failed_calls = true;
    errno = ECANCELED;
    return true;
}

} // namespace weft::detail
