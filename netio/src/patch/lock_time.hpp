// lock_time: the absolute times of pthread locks, as deadlines.
//
// CLOCK_REALTIME can be set. A wait ends when that clock is seen to have reached the time: if it was set back meanwhile, the wait
// goes on; if it was set forward, that is noticed only when the time would have come.
#pragma once

#include <chrono>
#include <ctime>

#include <weft/clock.hpp>

namespace weft::detail {

class lock_time {
public:
    // No limit.
    lock_time() = default;

    // Until `clock` shows `*when`.
    lock_time(clockid_t clock, timespec const* when) noexcept : clock_(clock), when_(when) {}

    // What pthread functions answer with EINVAL.
    [[nodiscard]] bool valid() const noexcept {
        constexpr long second = 1'000'000'000;
        if (when_ == nullptr)
            return true;
        return (clock_ == CLOCK_REALTIME || clock_ == CLOCK_MONOTONIC) && when_->tv_nsec >= 0 &&
               when_->tv_nsec < second;
    }

    // The deadline by what the clock shows now; in the past, if it is over.
    [[nodiscard]] time_point deadline() const noexcept {
        return when_ != nullptr ? deadline_after(left()) : never;
    }

    [[nodiscard]] bool over() const noexcept { return when_ != nullptr && left() <= duration::zero(); }

private:
    using duration =
        std::chrono::duration<long double, std::nano>; // of more seconds than nanoseconds can count

    [[nodiscard]] duration left() const noexcept {
        timespec now{};
        ::clock_gettime(clock_, &now);
        return std::chrono::duration<long double>(static_cast<long double>(when_->tv_sec) -
                                                  static_cast<long double>(now.tv_sec)) +
               std::chrono::nanoseconds(when_->tv_nsec - now.tv_nsec);
    }

    clockid_t clock_ = CLOCK_MONOTONIC;
    timespec const* when_ = nullptr;
};

} // namespace weft::detail
