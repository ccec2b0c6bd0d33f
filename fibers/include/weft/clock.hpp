// The clock of every deadline and timer in weft.
//
// Monotonic: setting the system's time of day moves no deadline. A deadline is absolute, so that a call that
// waits several times, or is handed on to another call, keeps one limit; `never` means none.
#pragma once

#include <chrono>

namespace weft {

using clock = std::chrono::steady_clock;
using time_point = clock::time_point;

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
