// The clock of every deadline and timer in weft.
//
// Monotonic: setting the system's time of day moves no deadline. A deadline is absolute, so that a call that
// waits several times, or is handed on to another call, keeps one limit; `never` means none.
//
// It is std::chrono::steady_clock, unless a test has put a virtual clock in its place: weft/testing/virtual_clock.hpp.
#pragma once

#include <atomic>
#include <chrono>

namespace weft {

using time_point = std::chrono::steady_clock::time_point;

namespace detail {

// The virtual clock's time since the epoch; 0: there is none.
extern std::atomic<std::chrono::steady_clock::rep> virtual_time;

} // namespace detail

// Meets Clock, as the standard says it.
struct clock {
    using duration = std::chrono::steady_clock::duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = weft::time_point;
    static constexpr bool is_steady = true;

    static time_point now() noexcept {
        rep const instead = detail::virtual_time.load(std::memory_order_relaxed);
        return instead == 0 ? std::chrono::steady_clock::now() : time_point(duration(instead));
    }
};

// The deadline of a wait that only an event ends.
inline constexpr time_point never = time_point::max();

// The point `duration` from now; `never` where the sum would not fit. A duration below zero counts as zero.
template <class Rep, class Period> time_point deadline_after(std::chrono::duration<Rep, Period> duration) {
    if (duration <= duration.zero())
        return clock::now();
    auto const now = clock::now();
    using wide = std::chrono::duration<long double, clock::period>;
    if (wide(duration) >= wide(never - now))
        return never;
    return now + std::chrono::ceil<clock::duration>(duration);
}

} // namespace weft
