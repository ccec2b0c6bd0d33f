// waiter: one fiber or plain thread on a wait_list. It lies on the stack of the one that waits.
#pragma once

#include <atomic>
#include <cstdint>

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

struct waiter {
    waiter* next = nullptr;
    waiter* previous = nullptr;
    fiber_core* fiber = current_fiber;          // null: a plain thread, which sleeps on `thread_state`
    std::atomic<std::uint32_t> thread_state{0}; // where the wait is, as a futex word
    waiter* whole = this;    // of several that wait as one (select): the one whose thread_state counts
    void* payload = nullptr; // what is handed over, or where to; the primitive's
    int tag = 0;             // the primitive's
    bool linked = false;
    bool fired = false; // claim() chose this one

    // To be called before the waiter is put on a list.
    void begin() noexcept;

    // Takes back begin(), once no more claim() can begin. False if it was chosen before; what that was for is waited for.
    bool take_back(wait_reason reason) noexcept;

    // Waits until deliver() or `deadline`, or until the fiber is cancelled, if the wait heeds that.
    wake_cause wait(wait_reason reason, time_point deadline,
                    cancellation cancels = cancellation::ignored) noexcept;

    // As wait(), for a call that is a cancellation point: pthread_cancel(3) ends a plain thread's wait by unwinding from here.
    // A signal's handler ends it, too, if `interruptible`.
    wake_cause wait_cancellable(wait_reason reason, time_point deadline, interruption interruptible,
                                cancellation cancels = cancellation::ignored);

    // Decides that the one that waits will be woken; false if its deadline was first. It goes on waiting until deliver(),
    // so until then it, and what it waits on, exist; afterwards they may be gone.
    bool claim() noexcept;
    void deliver() noexcept;
};

} // namespace weft::detail
