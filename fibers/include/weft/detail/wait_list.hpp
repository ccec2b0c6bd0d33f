// wait_list: fibers and plain threads that wait for one thing, in FIFO order.
//
// Guarded by the spinlock of the primitive that owns it. Wakers take a waiter off the list first and wake it then, both
// under the lock; so a waiter's memory is valid whenever it is on a list.
#pragma once

#include <mutex>

#include <weft/clock.hpp>
#include <weft/detail/spinlock.hpp>
#include <weft/detail/wait_reason.hpp>

namespace weft::detail {

struct waiter;

class wait_list {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }

    void push_back(waiter& w) noexcept;
    void erase(waiter& w) noexcept;

    // Wakes the first that still waits; false if there is none.
    bool wake_one() noexcept;
    void wake_all() noexcept;

    // Puts the caller, a fiber or a plain thread, at the end, releases `lock` and waits. True if woken, false at
    // `deadline`. On return the caller is off the list, and `lock` released.
    bool wait(std::unique_lock<spinlock>& lock, wait_reason reason, time_point deadline) noexcept;

private:
    void unlink(waiter& w) noexcept;

    waiter* head_ = nullptr;
    waiter* tail_ = nullptr;
};

} // namespace weft::detail
