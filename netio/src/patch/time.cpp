// The patched calls that wait for time to pass.
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>

#include <weft/clock.hpp>
#include <weft/detail/park.hpp>

#include "libc_function.hpp"

using weft::detail::current_fiber;
using weft::detail::libc_function;

namespace {

constexpr libc_function<"sleep", unsigned(unsigned)> libc_sleep;
constexpr libc_function<"usleep", int(useconds_t)> libc_usleep;
constexpr libc_function<"nanosleep", int(timespec const*, timespec*)> libc_nanosleep;
constexpr libc_function<"clock_nanosleep", int(clockid_t, int, timespec const*, timespec*)>
    libc_clock_nanosleep;
constexpr libc_function<"sched_yield", int()> libc_sched_yield;

template <class Duration> void sleep_for(Duration duration, char const* operation) noexcept {
    weft::time_point const deadline = weft::deadline_after(duration);
    if (deadline != weft::never) {
        weft::detail::sleep_until({.operation = operation}, deadline);
        return;
    }
    // Longer than the clock can say: no deadline, and nobody wakes us.
    weft::detail::begin_park(*current_fiber);
    weft::detail::park({.operation = operation}, weft::never);
}

bool valid(timespec const& time) noexcept {
    constexpr long second = 1'000'000'000;
    return time.tv_sec >= 0 && time.tv_nsec >= 0 && time.tv_nsec < second;
}

std::chrono::nanoseconds fraction(timespec const& time) noexcept {
    return std::chrono::nanoseconds(time.tv_nsec);
}

void sleep_for(timespec const& time, char const* operation) noexcept {
    // Seconds are wider than nanoseconds can count.
    using long_nanoseconds = std::chrono::duration<long double, std::nano>;
    sleep_for(long_nanoseconds(std::chrono::duration<long double>(time.tv_sec)) + fraction(time), operation);
}

// Until `clock` shows `time`. A clock that can be set is looked at again: it may have been set back.
void sleep_until(clockid_t clock, timespec const& time) noexcept {
    for (;;) {
        timespec now{};
        ::clock_gettime(clock, &now);
        auto const left =
            std::chrono::duration<long double>(static_cast<long double>(time.tv_sec) - now.tv_sec) +
            (fraction(time) - fraction(now));
        if (left <= left.zero())
            return;
        sleep_for(left, "clock_nanosleep");
    }
}

bool can_wait_for(clockid_t clock) noexcept {
    return clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME || clock == CLOCK_BOOTTIME ||
           clock == CLOCK_TAI;
}

} // namespace

extern "C" {

unsigned sleep(unsigned seconds) {
    if (current_fiber == nullptr)
        return libc_sleep(seconds);
    sleep_for(std::chrono::seconds(seconds), "sleep");
    return 0;
}

int usleep(useconds_t microseconds) {
    if (current_fiber == nullptr)
        return libc_usleep(microseconds);
    sleep_for(std::chrono::microseconds(microseconds), "usleep");
    return 0;
}

int nanosleep(timespec const* time, timespec* left) {
    if (current_fiber == nullptr || !valid(*time))
        return libc_nanosleep(time, left);
    sleep_for(*time, "nanosleep");
    return 0;
}

// Clocks of CPU time go to libc: no event of ours comes from them.
int clock_nanosleep(clockid_t clock, int flags, timespec const* time, timespec* left) {
    if (current_fiber == nullptr || !valid(*time) || !can_wait_for(clock))
        return libc_clock_nanosleep(clock, flags, time, left);
    if ((flags & TIMER_ABSTIME) != 0)
        sleep_until(clock, *time);
    else
        sleep_for(*time, "clock_nanosleep");
    return 0;
}

int sched_yield() noexcept {
    if (current_fiber == nullptr)
        return libc_sched_yield();
    weft::detail::yield();
    return 0;
}

// libc's own older name, which old binaries call.
int __nanosleep(timespec const* time, timespec* left) { return nanosleep(time, left); }

} // extern "C"
