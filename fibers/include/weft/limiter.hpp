// limiter: a number of tokens, each held by a known fiber or thread. As trio's CapacityLimiter.
//
// A semaphore doesn't know who has acquired it; a limiter does: nobody can hold two of its tokens, and only who holds one can release it. The
// mistake of acquiring twice, with which a few fibers block each other once the limit is reached, is found at once. Otherwise as
// semaphore: FIFO, Lockable and TimedLockable, on fibers and plain threads.
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

#include <weft/clock.hpp>
#include <weft/detail/biased_lock.hpp>
#include <weft/detail/sync_object.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

class limiter final : public detail::sync_object {
public:
    // `name`: for messages and reports; a string literal. Throws std::bad_alloc.
    explicit limiter(std::size_t total, char const* name = "");

    // Takes a token, waiting for one if need be. Throws std::logic_error if the caller holds one, and weft::cancelled.
    void acquire() { static_cast<void>(try_acquire_until(never)); }
    // False if there was none by then.
    [[nodiscard]] bool try_acquire_until(time_point deadline);
    template <class Rep, class Period>
    [[nodiscard]] bool try_acquire_for(std::chrono::duration<Rep, Period> duration) {
        return try_acquire_until(deadline_after(duration));
    }
    // Takes one if there is one now.
    [[nodiscard]] bool try_acquire();

    // Throws std::logic_error if the caller holds none.
    void release();

    // More tokens let waiters in at once; with fewer, nobody is let in until enough have been released. Throws std::bad_alloc.
    void set_total(std::size_t total);
    [[nodiscard]] std::size_t total() const noexcept;
    [[nodiscard]] std::size_t borrowed() const noexcept;

    void lock() { acquire(); }
    [[nodiscard]] bool try_lock() { return try_acquire(); }
    [[nodiscard]] bool try_lock_until(time_point deadline) { return try_acquire_until(deadline); }
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> duration) {
        return try_acquire_for(duration);
    }
    void unlock() { release(); }

    [[nodiscard]] int holder() const noexcept override { return holders_.empty() ? 0 : holders_.front(); }

private:
    [[nodiscard]] bool admit(int who) noexcept;
    [[nodiscard]] detail::claimed_waiters hand_on() noexcept;
    void refuse_second(int who) const;

    mutable detail::biased_lock lock_; // guards the rest
    std::size_t total_;
    std::vector<int> holders_;  // has room for total_; as lock_owner() numbers them
    detail::wait_list waiting_; // waiter::tag: who
};

} // namespace weft
