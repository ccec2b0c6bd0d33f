// The calls that wait for time to pass: arguments at their limits, times that are over, clocks that can't be waited for.
#include <sched.h>
#include <threads.h>
#include <unistd.h>

#include <climits>
#include <ctime>

#include "corner_case.hpp"

using namespace corner;
using namespace std::chrono_literals;

namespace {

timespec later(clockid_t clock, long milliseconds) {
    timespec now{};
    clock_gettime(clock, &now);
    now.tv_nsec += milliseconds * 1'000'000;
    now.tv_sec += now.tv_nsec / 1'000'000'000;
    now.tv_nsec %= 1'000'000'000;
    return now;
}

} // namespace

CORNER_CASE(sleeps, .parks = 6) {
    stopwatch const all;
    TELL(usleep(10'000));
    TELL_FACT(all.at_least(10ms));
    timespec const time{.tv_sec = 0, .tv_nsec = 10'000'000};
    timespec left{.tv_sec = 77, .tv_nsec = 77};
    TELL(nanosleep(&time, &left));
    TELL_FACT(all.at_least(20ms));
    say("left %ld %ld", static_cast<long>(left.tv_sec), left.tv_nsec);
    TELL_CODE(clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &left));
    TELL_FACT(all.at_least(30ms));
    say("left %ld %ld", static_cast<long>(left.tv_sec), left.tv_nsec);
    TELL_CODE(clock_nanosleep(CLOCK_REALTIME, 0, &time, nullptr));
    TELL_FACT(all.at_least(40ms));
    TELL(thrd_sleep(&time, &left));
    TELL_FACT(all.at_least(50ms));
    TELL_CODE(clock_nanosleep(CLOCK_BOOTTIME, 0, &time, nullptr));
    TELL_FACT(all.at_least(60ms));
    TELL(sleep(0));
    TELL(usleep(0));
    TELL(sched_yield());
    thrd_yield();
}

CORNER_CASE(a_whole_second, .parks = 1) {
    stopwatch const time;
    TELL(sleep(1));
    TELL_FACT(time.at_least(1s));
}

CORNER_CASE(more_than_a_second_of_microseconds, .parks = 1) {
    stopwatch const time;
    TELL(usleep(1'001'000));
    TELL_FACT(time.at_least(1001ms));
}

CORNER_CASE(bad_times) {
    timespec left{.tv_sec = 77, .tv_nsec = 77};
    for (timespec const each : {timespec{0, 1'000'000'000}, timespec{0, -1}, timespec{-1, 0},
                                timespec{LONG_MIN, 0}, timespec{0, LONG_MAX}, timespec{-1, -1}}) {
        TELL(nanosleep(&each, &left));
        TELL_CODE(clock_nanosleep(CLOCK_MONOTONIC, 0, &each, &left));
        TELL_CODE(clock_nanosleep(CLOCK_REALTIME, 0, &each, &left));
        TELL_CODE(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &each, &left));
        TELL(thrd_sleep(&each, &left));
    }
    say("left %ld %ld", static_cast<long>(left.tv_sec), left.tv_nsec);
}

CORNER_CASE(times_that_are_over) {
    timespec const none{};
    timespec left{.tv_sec = 77, .tv_nsec = 77};
    TELL(nanosleep(&none, &left));
    say("left %ld %ld", static_cast<long>(left.tv_sec), left.tv_nsec);
    for (clockid_t const clock : {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_TAI}) {
        TELL_CODE(clock_nanosleep(clock, TIMER_ABSTIME, &none, &left));
        timespec const now = later(clock, 0);
        TELL_CODE(clock_nanosleep(clock, TIMER_ABSTIME, &now, &left));
    }
    say("left %ld %ld", static_cast<long>(left.tv_sec), left.tv_nsec);
}

CORNER_CASE(until_a_time, .parks = 4) {
    for (clockid_t const clock : {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_TAI}) {
        stopwatch const time;
        timespec const when = later(clock, 20);
        TELL_CODE(clock_nanosleep(clock, TIMER_ABSTIME, &when, nullptr));
        TELL_FACT(time.at_least(19ms)); // the clocks may differ a little
    }
}

CORNER_CASE(clocks_that_can_not_be_waited_for) {
    timespec const time{.tv_sec = 0, .tv_nsec = 1'000'000};
    for (clockid_t const clock : {CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE,
                                  CLOCK_THREAD_CPUTIME_ID, 77, -1, INT_MAX, INT_MIN}) {
        TELL_CODE(clock_nanosleep(clock, 0, &time, nullptr));
        TELL_CODE(clock_nanosleep(clock, TIMER_ABSTIME, &time, nullptr));
    }
    TELL_CODE(clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, &time, nullptr));
    TELL_CODE(clock_nanosleep(CLOCK_MONOTONIC, 0x76, &time, nullptr));
}

CORNER_CASE(errno_is_kept) {
    errno = ENOTTY;
    usleep(1);
    TELL_FACT(errno == ENOTTY);
    timespec const none{};
    nanosleep(&none, nullptr);
    TELL_FACT(errno == ENOTTY);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &none, nullptr);
    TELL_FACT(errno == ENOTTY);
    clock_nanosleep(77, 0, &none, nullptr);
    TELL_FACT(errno == ENOTTY);
    timespec const bad{.tv_sec = -1, .tv_nsec = 0};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, nullptr);
    TELL_FACT(errno == ENOTTY);
    sched_yield();
    TELL_FACT(errno == ENOTTY);
    sleep(0);
    TELL_FACT(errno == ENOTTY);
}
