// The patched calls that wait for time to pass.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>

#include <weft/clock.hpp>
#include <weft/detail/park.hpp>

#include "../ended_wait.hpp"
#include "../user_memory.hpp"
#include "libc_function.hpp"
#include "on_fiber.hpp"

using weft::detail::copy_in;
using weft::detail::copy_out;
using weft::detail::libc_function;
using weft::detail::on_fiber;

namespace {

constexpr libc_function<"sleep", unsigned(unsigned)> libc_sleep;
constexpr libc_function<"usleep", int(useconds_t)> libc_usleep;
constexpr libc_function<"nanosleep", int(timespec const*, timespec*)> libc_nanosleep;
constexpr libc_function<"clock_nanosleep", int(clockid_t, int, timespec const*, timespec*)>
    libc_clock_nanosleep;
constexpr libc_function<"sched_yield", int()> libc_sched_yield;

// 0, or EINTR or ECANCELED if a handler or the fiber's cancellation has ended it before `deadline`.
int sleep_until(weft::time_point deadline, char const* operation) noexcept {
    return weft::detail::ended_by(
        weft::detail::sleep_until({operation}, deadline, weft::detail::interruption::always));
}

// What is left of a sleep; rounded up, so that who sleeps it, too, sleeps long enough.
template <class Duration> Duration left_until(weft::time_point deadline) noexcept {
    return std::max(std::chrono::ceil<Duration>(deadline - weft::clock::now()), Duration::zero());
}

bool valid(timespec const& time) noexcept {
    constexpr long second = 1'000'000'000;
    return time.tv_sec >= 0 && time.tv_nsec >= 0 && time.tv_nsec < second;
}

std::chrono::nanoseconds fraction(timespec const& time) noexcept {
    return std::chrono::nanoseconds(time.tv_nsec);
}

weft::time_point deadline_of(timespec const& time) noexcept {
    // Seconds are wider than nanoseconds can count.
    return weft::deadline_after(std::chrono::duration<long double>(time.tv_sec) + fraction(time));
}

// 0, or what has ended it, with what is left in `left`, if that is asked for; EFAULT where it can't be written.
int sleep_for(timespec const& time, timespec* left, char const* operation) noexcept {
    weft::time_point const deadline = deadline_of(time);
    int const error = sleep_until(deadline, operation);
    if (error != 0 && left != nullptr) {
        auto const rest = left_until<std::chrono::nanoseconds>(deadline);
        auto const seconds = std::chrono::floor<std::chrono::seconds>(rest);
        if (!copy_out(left, {.tv_sec = seconds.count(), .tv_nsec = (rest - seconds).count()}))
            return EFAULT;
    }
    return error;
}

// Until `clock` shows `time`: 0, or what has ended it. A clock that can be set is looked at again: it may have been set back.
int sleep_until(clockid_t clock, timespec const& time) noexcept {
    for (;;) {
        timespec now{};
        ::clock_gettime(clock, &now);
        auto const left =
            std::chrono::duration<long double>(static_cast<long double>(time.tv_sec) - now.tv_sec) +
            (fraction(time) - fraction(now));
        if (left <= left.zero())
            return 0;
        if (int const error = sleep_until(weft::deadline_after(left), "clock_nanosleep"))
            return error;
    }
}

bool can_wait_for(clockid_t clock) noexcept {
    return clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME || clock == CLOCK_BOOTTIME ||
           clock == CLOCK_TAI;
}

} // namespace

extern "C" {

unsigned sleep(unsigned seconds) {
    if (!on_fiber())
        return libc_sleep(seconds);
    weft::time_point const deadline = weft::deadline_after(std::chrono::seconds(seconds));
    if (int const error = sleep_until(deadline, "sleep"))
        errno = error;
    else
        return 0;
    return static_cast<unsigned>(
        std::chrono::floor<std::chrono::seconds>(left_until<std::chrono::nanoseconds>(deadline)).count());
}

int usleep(useconds_t microseconds) {
    if (!on_fiber())
        return libc_usleep(microseconds);
    int const error = sleep_until(weft::deadline_after(std::chrono::microseconds(microseconds)), "usleep");
    if (error != 0)
        errno = error;
    return error == 0 ? 0 : -1;
}

int nanosleep(timespec const* time, timespec* left) {
    timespec asked{};
    if (!on_fiber())
        return libc_nanosleep(time, left);
    if (!copy_in(asked, time))
        return -1;
    if (!valid(asked))
        return libc_nanosleep(time, left);
    int const error = sleep_for(asked, left, "nanosleep");
    if (error != 0)
        errno = error;
    return error == 0 ? 0 : -1;
}

// Clocks of CPU time go to libc: no event of ours comes from them.
int clock_nanosleep(clockid_t clock, int flags, timespec const* time, timespec* left) {
    timespec asked{};
    if (!on_fiber())
        return libc_clock_nanosleep(clock, flags, time, left);
    if (!copy_in(asked, time))
        return errno;
    if (!valid(asked) || !can_wait_for(clock))
        return libc_clock_nanosleep(clock, flags, time, left);
    if ((flags & TIMER_ABSTIME) != 0)
        return sleep_until(clock, asked);
    return sleep_for(asked, left, "clock_nanosleep");
}

int sched_yield() noexcept {
    if (!on_fiber())
        return libc_sched_yield();
    weft::detail::yield();
    return 0;
}

// libc's own older names, which old binaries call.
int __nanosleep(timespec const* time, timespec* left) { return nanosleep(time, left); }
int __sched_yield() noexcept { return sched_yield(); }

} // extern "C"
