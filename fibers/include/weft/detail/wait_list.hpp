// wait_list: fibers and plain threads that wait for one thing, in FIFO order.
//
// Guarded by the spinlock of the primitive that owns it. Waking takes two steps: claim() under the lock takes waiters off the
// list, deliver() after it wakes them. A waiter that has been woken may end the primitive at once; so nothing of it may
// be touched any more by then, not even its lock.
#pragma once

#include <cstddef>
#include <mutex>

#include <weft/clock.hpp>
#include <weft/detail/spinlock.hpp>
#include <weft/detail/wait_reason.hpp>

namespace weft::detail {

struct waiter;

struct claimed_waiters {
    waiter* first = nullptr; // linked by `next`
    std::ptrdiff_t count = 0;

    // Without the lock.
    void deliver() const noexcept;
};

class wait_list {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }

    void push_back(waiter& w) noexcept;
    void erase(waiter& w) noexcept;

    // Takes the first waiters that still wait off the list, as many as there are up to `most`; to be given to deliver().
    [[nodiscard]] claimed_waiters claim(std::ptrdiff_t most) noexcept;

    // Puts the caller, a fiber or a plain thread, at the end, releases `lock` and waits: notified, timed_out or cancelled. On
    // return the caller is off the list, and `lock` released.
    wake_cause wait(std::unique_lock<spinlock>& lock, wait_reason reason, time_point deadline,
                    cancellation cancels = cancellation::ignored) noexcept;

private:
    void unlink(waiter& w) noexcept;

    waiter* head_ = nullptr;
    waiter* tail_ = nullptr;
};

} // namespace weft::detail
