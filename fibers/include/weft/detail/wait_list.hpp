// wait_list: fibers and plain threads that wait for one thing, in FIFO order.
//
// Guarded by the lock of the primitive that owns it. Waking takes two steps: claim() under the lock takes waiters off the
// list, deliver() after it wakes them. A waiter that has been woken may end the primitive at once; so nothing of it may
// be touched any more by then, not even its lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#include <weft/clock.hpp>
#include <weft/detail/biased_lock.hpp>
#include <weft/detail/wait_reason.hpp>

namespace weft::detail {

struct waiter;

struct claimed_waiters {
    waiter* first = nullptr; // linked by `next`
    waiter* last = nullptr;  // valid if first is not null
    std::ptrdiff_t count = 0;

    void add(waiter& one) noexcept;

    // Without the lock.
    void deliver() const noexcept;
};

class wait_list {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr || forks_ != forks; }

    void push_back(waiter& w) noexcept;
    void erase(waiter& w) noexcept;

    // The first one; null if there is none.
    [[nodiscard]] waiter* first() const noexcept { return empty() ? nullptr : head_; }

    // Takes the first waiter that still waits off the list, for deliver(); null if there is none.
    [[nodiscard]] waiter* claim_first() noexcept;

    // Takes the first waiters that still wait off the list, as many as there are up to `most`; to be given to deliver().
    [[nodiscard]] claimed_waiters claim(std::ptrdiff_t most) noexcept;
    [[nodiscard]] claimed_waiters claim_all() noexcept;

    // Puts the caller, a fiber or a plain thread, at the end, releases `lock` and waits: notified, timed_out or cancelled. On
    // return the caller is off the list, and `lock` released.
    wake_cause wait(std::unique_lock<biased_lock>& lock, wait_reason reason, time_point deadline,
                    cancellation cancels = cancellation::ignored) noexcept;

    // The same with a waiter of the caller's. Once the lock is released, `woken` are delivered.
    wake_cause wait(waiter& self, std::unique_lock<biased_lock>& lock, wait_reason reason,
                    time_point deadline, cancellation cancels, claimed_waiters const& woken = {}) noexcept;

    // In the child of a fork: all lists are empty. Those who waited are not in this process; they only look so.
    static void forget_all() noexcept { ++forks; }

private:
    static constinit std::uint32_t forks; // of this process's ancestors; changes while there is one thread

    void unlink(waiter& w) noexcept;

    waiter* head_ = nullptr;
    waiter* tail_ = nullptr;
    std::uint32_t forks_ = 0; // what `forks` was when the first of them came
};

} // namespace weft::detail
