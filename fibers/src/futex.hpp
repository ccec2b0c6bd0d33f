// futex: where a plain thread sleeps, futex(2) on a word of this process.
#pragma once

#include <linux/futex.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <ctime>

#include <weft/clock.hpp>
#include <weft/detail/system_call.hpp>

#include "virtual_time.hpp"

namespace weft::detail {

// Sleeps while `word` is `expected`, until a wake-up, a signal or `deadline`: look again. 0, or -1 with errno
// (ETIMEDOUT, EAGAIN, EINTR). weft::clock is CLOCK_MONOTONIC, which the kernel takes as it is.
// Not noexcept: a thread that allows it may be cancelled in here.
inline long futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, time_point deadline) {
    deadline = std::max(deadline, time_point()); // the kernel refuses those before its clock began
    if (deadline != never && time_is_virtual()) [[unlikely]] // of which the kernel knows nothing
        deadline = std::chrono::steady_clock::now() + (deadline - clock::now());
    auto const since = deadline.time_since_epoch();
    auto const seconds = std::chrono::floor<std::chrono::seconds>(since);
    timespec const limit{.tv_sec = seconds.count(),
                         .tv_nsec = std::chrono::nanoseconds(since - seconds).count()};
    return system_call(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected,
                       deadline != never ? &limit : nullptr, nullptr, FUTEX_BITSET_MATCH_ANY);
}

// Async-signal-safe.
inline void futex_wake(std::atomic<std::uint32_t>& word, int most = INT_MAX) noexcept {
    system_call(SYS_futex, &word, FUTEX_WAKE_PRIVATE, most, nullptr, nullptr, 0);
}

} // namespace weft::detail
