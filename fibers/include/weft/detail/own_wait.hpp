// own_wait: what weft's own waiting calls have in common, as opposed to patched ones: that they throw weft::cancelled.
#pragma once

#include <exception>
#include <mutex>

#include <weft/clock.hpp>
#include <weft/detail/biased_lock.hpp>
#include <weft/detail/fiber_core.hpp>
#include <weft/detail/scope.hpp>
#include <weft/detail/wait_list.hpp>
#include <weft/detail/wait_reason.hpp>
#include <weft/detail/waiter.hpp>

namespace weft::detail {

// Of a call of weft's own: nothing is thrown while an exception is in flight, so then it waits to its end.
inline cancellation own_cancellation() noexcept {
    return current_fiber != nullptr && current_fiber->uncancellable == 0 && std::uncaught_exceptions() == 0
               ? cancellation::heeded
               : cancellation::ignored;
}

[[noreturn]] void throw_cancelled();

// With what a call of weft's own begins that may wait: throws weft::cancelled if the fiber is, even where it needn't wait.
inline void throw_if_cancelled() {
    if (current_fiber != nullptr && current_fiber->scope != nullptr &&
        find_cancelled(current_fiber->scope) != nullptr && own_cancellation() == cancellation::heeded)
        throw_cancelled();
}

// Waits at the end of `list`, for which `lock` is released: true if woken, false at the deadline. Throws weft::cancelled.
bool own_wait(wait_list& list, std::unique_lock<biased_lock>& lock, wait_reason reason, time_point deadline);

// The same with a waiter of the caller's. Once the lock is released, `woken` are delivered.
bool own_wait(wait_list& list, waiter& self, std::unique_lock<biased_lock>& lock, wait_reason reason,
              time_point deadline, claimed_waiters const& woken = {});

// While it lives, the calling fiber's own calls wait to their end: to put things in order that others rely on.
class uncancellable {
public:
    uncancellable() noexcept {
        if (current_fiber != nullptr)
            ++current_fiber->uncancellable;
    }
    uncancellable(uncancellable const&) = delete;
    uncancellable& operator=(uncancellable const&) = delete;
    ~uncancellable() {
        if (current_fiber != nullptr)
            --current_fiber->uncancellable;
    }
};

} // namespace weft::detail
