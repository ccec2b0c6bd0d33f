// latch: opens once it has been counted down to zero, and stays open. As std::latch.
//
// Must outlive every call of its members: whoever counts down may still be in there when those that waited go on.
#pragma once

#include <chrono>
#include <cstddef>

#include <weft/clock.hpp>
#include <weft/detail/biased_lock.hpp>
#include <weft/detail/sync_object.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

class latch final : public detail::sync_object {
public:
    // Throws std::invalid_argument if `count` is negative. `name`: for messages and reports; a string literal.
    explicit latch(std::ptrdiff_t count, char const* name = "");

    // Throws std::logic_error if less than `by` is left, or `by` is negative; nothing has changed then.
    void count_down(std::ptrdiff_t by = 1);
    [[nodiscard]] bool try_wait() const noexcept;

    // Until it opens. Throws weft::cancelled.
    void wait() { static_cast<void>(wait_until(never)); }
    // False if it did not open by then.
    [[nodiscard]] bool wait_until(time_point deadline);
    template <class Rep, class Period>
    [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> duration) {
        return wait_until(deadline_after(duration));
    }
    // Counts down before it waits, and whether or not the wait is cancelled.
    void arrive_and_wait(std::ptrdiff_t by = 1) {
        count_down(by);
        wait();
    }

private:
    mutable detail::biased_lock lock_; // guards the rest
    std::ptrdiff_t count_;
    detail::wait_list waiting_;
};

} // namespace weft
