// semaphore: permits that fibers and plain threads share, on any worker.
//
// FIFO: a released permit goes to the one that has waited longest; nobody who comes later overtakes. Meets Lockable and
// TimedLockable, so that std::scoped_lock holds a permit for a scope:
//
//     weft::semaphore requests(10);
//     ...
//     std::scoped_lock permit(requests); // at most ten fibers at once are past this line
//
// Must outlive everyone who waits on it; who has acquired may destroy it, though the release that let it in is not back yet.
#pragma once

#include <chrono>
#include <cstddef>
#include <limits>

#include <weft/clock.hpp>
#include <weft/detail/biased_lock.hpp>
#include <weft/detail/sync_object.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

class semaphore : public detail::sync_object {
public:
    static constexpr std::ptrdiff_t max = std::numeric_limits<std::ptrdiff_t>::max();

    // Throws std::invalid_argument if `permits` is negative. `name`: for messages and reports; a string literal.
    explicit semaphore(std::ptrdiff_t permits, char const* name = "")
        : semaphore("semaphore", permits, name) {}

    // Takes a permit, waiting for one if need be. Throws weft::cancelled, without one.
    void acquire();

    // Takes a permit if there is one now.
    [[nodiscard]] bool try_acquire() noexcept;

    // Takes a permit, waiting no longer than `deadline`; false if there was none by then. Throws weft::cancelled, without one.
    [[nodiscard]] bool try_acquire_until(time_point deadline);
    template <class Rep, class Period>
    [[nodiscard]] bool try_acquire_for(std::chrono::duration<Rep, Period> duration) {
        return try_acquire_until(deadline_after(duration));
    }

    // Gives back `permits` (at least 0). Callable by anyone, not only by who acquired. Throws std::overflow_error if
    // there would be more than max.
    void release(std::ptrdiff_t permits = 1);

    // Permits free at this moment; others may take them before the caller does.
    [[nodiscard]] std::ptrdiff_t available() const noexcept;

    void lock() { acquire(); }
    [[nodiscard]] bool try_lock() noexcept { return try_acquire(); }
    [[nodiscard]] bool try_lock_until(time_point deadline) { return try_acquire_until(deadline); }
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> duration) {
        return try_acquire_for(duration);
    }
    void unlock() { release(); }

protected:
    semaphore(char const* kind, std::ptrdiff_t permits, char const* name);

    // As release(), but false, and nothing changed, if fewer than `permits` are acquired.
    [[nodiscard]] bool release_acquired(std::ptrdiff_t permits) noexcept;

private:
    [[nodiscard]] detail::claimed_waiters give(std::ptrdiff_t permits) noexcept;

    mutable detail::biased_lock lock_; // guards the rest
    std::ptrdiff_t permits_;           // > 0 only while nobody waits
    std::ptrdiff_t acquired_ = 0;      // less released; negative if more were released
    detail::wait_list waiting_;
};

} // namespace weft
