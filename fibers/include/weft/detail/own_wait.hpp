// own_wait: what weft's own waiting calls have in common, as opposed to patched ones: that they throw weft::cancelled.
#pragma once

#include <exception>

#include <weft/detail/fiber_core.hpp>
#include <weft/detail/scope.hpp>

namespace weft::detail {

// Of a call of weft's own: nothing is thrown while an exception is in flight, so then it waits to its end.
inline cancellation own_cancellation() noexcept {
    return current_fiber != nullptr && current_fiber->uncancellable == 0 && std::uncaught_exceptions() == 0
               ? cancellation::heeded
               : cancellation::ignored;
}

[[noreturn]] void throw_cancelled();

// With what a waiting call of weft's own begins: throws weft::cancelled if the fiber is; else what its waits are to heed.
inline cancellation begin_own_wait() {
    cancellation const cancels = own_cancellation();
    if (cancels == cancellation::heeded && current_fiber->scope != nullptr &&
        find_cancelled(current_fiber->scope) != nullptr)
        throw_cancelled();
    return cancels;
}

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

// Ends the process with these words: for misuse that can't throw.
[[noreturn]] void fail_misuse(char const* what) noexcept;

} // namespace weft::detail
