// parking_lot: where fibers and plain threads wait for something that has no room for a list of its own, such as a
// pthread_mutex_t: a table of lists, found by the thing's address.
//
// A wait:                                             A wake-up:
//   lot_waiter self(address, tag);                      change the state
//   lot_guard lot(address);                             lot_guard lot(address);
//   if the state says so: lot.enqueue(self);            take those to be woken: lot.take(...)
//   lot.unlock();                                       lot.unlock();
//   self.wait(...);                                     taken.deliver();
// The state is changed before the waker looks, and looked at under the guard before the waiter goes to sleep: one of the
// two sees the other.
//
// Threads: any. A guard is held for a few instructions, across no switch and no system call.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <weft/detail/wait_list.hpp>
#include <weft/detail/waiter.hpp>

namespace weft::detail {

struct lot_waiter : waiter {
    explicit lot_waiter(void const* address_, std::uint32_t tag_ = 0) : address(address_), tag(tag_) {}

    void const* address;
    std::uint32_t tag; // the primitive's own
};

class lot_guard {
public:
    explicit lot_guard(void const* address) noexcept;
    lot_guard(lot_guard const&) = delete;
    lot_guard& operator=(lot_guard const&) = delete;
    ~lot_guard() {
        if (held_)
            unlock();
    }
    void unlock() noexcept;

    // `self` waits from now on.
    void enqueue(lot_waiter& self) noexcept;

    // False if it was not queued any more.
    bool erase(lot_waiter& self) noexcept;

    // The first in line at the guard's address; null if nobody is.
    [[nodiscard]] lot_waiter* first() const noexcept { return next_at_address(nullptr); }
    [[nodiscard]] lot_waiter* next(lot_waiter const& after) const noexcept { return next_at_address(&after); }

    // Takes `one` off the line, to be woken by woken.deliver(), before those taken earlier. False if its deadline or a signal was
    // faster.
    bool take(lot_waiter& one, claimed_waiters& woken) noexcept;

    // Takes the first that still wait, as many as there are up to `most`.
    [[nodiscard]] claimed_waiters take_first(std::ptrdiff_t most) noexcept;

private:
    struct bucket;

    [[nodiscard]] lot_waiter* next_at_address(lot_waiter const* after) const noexcept;
    static bucket& bucket_of(void const* address) noexcept;
    friend struct lot_table;

    void const* address_;
    bucket& bucket_;
    bool held_ = true;
};

// Waits at `address` until it is taken off the line or `deadline` comes, but not at all unless `word` still is `value`: a futex
// for fibers.
template <class Word>
void wait_in_lot(void const* address, std::atomic_ref<Word> word, Word value, wait_reason reason,
                 time_point deadline = never) noexcept {
    lot_waiter self(address);
    {
        lot_guard lot(address);
        if (word.load(std::memory_order_seq_cst) != value)
            return;
        lot.enqueue(self);
    }
    if (self.wait(reason, deadline) == wake_cause::timed_out)
        lot_guard(address).erase(self);
}

// In a signal's handler that may have interrupted a guard of its own thread, no guard can be had. True if so: then `later` is
// called with `address`, as often as it was deferred, as soon as that guard is released.
bool defer_in_handler(void const* address, void (*later)(void const* address) noexcept) noexcept;

} // namespace weft::detail
