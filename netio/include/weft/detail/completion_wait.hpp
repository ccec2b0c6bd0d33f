// completion_wait: the wait for the end of an operation that others carry out, wherever they do it. It lies on the stack of the one that
// waits, who may not leave before nobody refers to it any more.
//
// References are counted: one is the operation's, from the beginning. The last one to let go wakes whoever waits:
//   1. release() counts down under `lock_`; at zero it claims the waiter, if one is there, and unlocks;
//   2. it delivers what it claimed. What it could not claim is on its way out by itself, and finds the count under the lock.
// So after the unlock nothing is touched but a waiter that waits until it is delivered.
#pragma once

#include <mutex>
#include <optional>

#include <weft/cancel_scope.hpp>
#include <weft/detail/spinlock.hpp>
#include <weft/detail/wait_reason.hpp>
#include <weft/detail/waiter.hpp>

namespace weft::detail {

class completion_wait {
public:
    completion_wait() = default;
    completion_wait(completion_wait const&) = delete;
    completion_wait& operator=(completion_wait const&) = delete;
    ~completion_wait() = default;

    // By anyone, as long as it exists. False if there is no reference any more.
    bool try_add_reference() noexcept;

    // While that is held, nobody can let go; it is empty if all have. For moments.
    [[nodiscard]] std::unique_lock<spinlock> hold() noexcept;

    // Any thread.
    void release() noexcept;

    // On the fiber or plain thread whose it is. True when there is no reference any more; false if the fiber was cancelled before.
    bool wait(char const* operation, cancellation cancels) noexcept;

private:
    spinlock lock_;
    int references_ = 1;        // guarded by lock_
    waiter* waiting_ = nullptr; // guarded by lock_
};

// While it lives, patched calls of the calling fiber, if it is one, are not cancelled.
class shield {
public:
    shield() {
        if (current_fiber != nullptr && current_fiber->scope != nullptr)
            scope_.emplace().shield();
    }

private:
    std::optional<cancel_scope> scope_;
};

// With what a use_fiber call begins. Throws weft::cancelled; std::logic_error where it would never end. Else what its wait is to heed.
cancellation begin_operation();

} // namespace weft::detail
