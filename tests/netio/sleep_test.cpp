// The patched sleeps: the fiber sleeps, others run.
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/clock.hpp>
#include <weft/fiber.hpp>
#include <weft/run.hpp>

extern "C" int __nanosleep(timespec const*, timespec*);

namespace {

using namespace std::chrono_literals;

} // namespace

// A thousand sleeps of 20 ms, one after the other on a blocked thread, would take 20 s.
BOOST_AUTO_TEST_CASE(sleeps_overlap_and_none_is_short) {
    weft::run([] {
        auto const start = weft::clock::now();
        timespec const time{.tv_sec = 0, .tv_nsec = 20'000'000};
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 1000; ++i)
            fibers.push_back(weft::spawn([&, i] {
                auto const begin = weft::clock::now();
                switch (i % 5) {
                case 0: BOOST_TEST(::usleep(20'000) == 0); break;
                case 1: BOOST_TEST(::nanosleep(&time, nullptr) == 0); break;
                case 2: BOOST_TEST(::clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr) == 0); break;
                case 3: BOOST_TEST(__nanosleep(&time, nullptr) == 0); break;
                default: {
                    timespec until{};
                    ::clock_gettime(CLOCK_REALTIME, &until);
                    until.tv_nsec += 20'000'000;
                    until.tv_sec += until.tv_nsec / 1'000'000'000;
                    until.tv_nsec %= 1'000'000'000;
                    BOOST_TEST(::clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, nullptr) == 0);
                    return;
                }
                }
                BOOST_TEST((weft::clock::now() - begin >= 20ms));
            }));
        fibers.clear();
        BOOST_TEST((weft::clock::now() - start < 15s));
    });
}

BOOST_AUTO_TEST_CASE(nonsense_is_refused_as_by_libc) {
    weft::run([] {
        timespec const bad{.tv_sec = 0, .tv_nsec = 2'000'000'000};
        BOOST_TEST(::nanosleep(&bad, nullptr) == -1);
        BOOST_TEST(errno == EINVAL);
        BOOST_TEST(::clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, nullptr) == EINVAL);
        timespec const past{.tv_sec = 1, .tv_nsec = 0};
        BOOST_TEST(::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, nullptr) == 0);
        BOOST_TEST(::sleep(0) == 0U);
    });
}

BOOST_AUTO_TEST_CASE(sched_yield_lets_the_other_fibers_run) {
    weft::run([] {
        int turns = 0;
        auto other = weft::spawn([&] {
            for (; turns < 5; ++turns)
                ::sched_yield();
        });
        for (int i = 0; i < 6; ++i)
            ::sched_yield();
        BOOST_TEST(turns == 5);
    });
}
