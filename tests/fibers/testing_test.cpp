// The testing kit: virtual time, random order, turns, and regions without a switch.
#include <chrono>
#include <csignal>
#include <future>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/mutex.hpp>
#include <weft/offload.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/testing/random_order.hpp>
#include <weft/testing/schedules.hpp>
#include <weft/testing/sequencer.hpp>
#include <weft/testing/virtual_clock.hpp>
#include <weft/this_fiber.hpp>
#include <weft/timer.hpp>

#include "support/child.hpp"
#include "support/options.hpp"

namespace {

using namespace std::chrono_literals;
using weft::testing::virtual_clock;

} // namespace

BOOST_AUTO_TEST_CASE(an_hour_of_timers_takes_no_time) {
    auto const begin = std::chrono::steady_clock::now();
    for (std::size_t const workers : {1U, 3U}) {
        virtual_clock const clock;
        std::vector<int> order;
        weft::run(
            [&] {
                auto const start = weft::clock::now();
                std::vector<weft::fiber<>> sleepers;
                for (int i = 59; i >= 0; --i)
                    sleepers.push_back(weft::spawn([&order, i] {
                        weft::this_fiber::sleep_for(std::chrono::minutes(i));
                        order.push_back(i);
                    }));
                for (std::size_t i = 0; i < workers; ++i)
                    weft::post(i, [] { weft::this_fiber::sleep_for(1h); });
                sleepers.clear();
                BOOST_TEST((weft::clock::now() - start == 59min));
                BOOST_TEST(!weft::move_on_after(1min, [] { weft::this_fiber::sleep_for(1h); }));
                BOOST_TEST((weft::clock::now() - start == 60min));
            },
            support::with_workers(workers));
        BOOST_TEST(order.size() == 60);
        BOOST_TEST(std::is_sorted(order.begin(), order.end()));
        BOOST_TEST((clock.elapsed() == 1h));
        BOOST_TEST(clock.jumps() >= 60);
    }
    BOOST_TEST((std::chrono::steady_clock::now() - begin < 60s));
}

BOOST_AUTO_TEST_CASE(virtual_time_stands_still_while_fibers_run) {
    virtual_clock const clock;
    weft::run([] {
        auto const start = weft::clock::now();
        weft::semaphore permits(0);
        auto waiter = weft::spawn([&] { return permits.try_acquire_for(1ms); });
        auto const real = std::chrono::steady_clock::now() + 5ms;
        while (std::chrono::steady_clock::now() < real)
            weft::this_fiber::yield();
        BOOST_TEST((weft::clock::now() == start));
        permits.release();
        BOOST_TEST(waiter.get()); // in time
    });
}

BOOST_AUTO_TEST_CASE(virtual_time_waits_for_messages) {
    virtual_clock const clock;
    weft::run(
        [] {
            for (int i = 0; i < 50; ++i) {
                weft::semaphore answered(0);
                weft::post(1, [&] { answered.release(); });
                BOOST_TEST(
                    answered.try_acquire_for(1h)); // the other worker's answer comes before an hour is over
            }
        },
        support::with_workers(2));
    BOOST_TEST((clock.elapsed() == 0s));
}

BOOST_AUTO_TEST_CASE(virtual_time_waits_for_offloaded_work) {
    virtual_clock const clock;
    weft::run([] {
        for (int i = 0; i < 200; ++i) {
            BOOST_TEST(weft::offload([] { return 9; }) == 9);
            weft::this_fiber::sleep_for(1h);
        }
    });
    BOOST_TEST((clock.elapsed() == 200h));
}

BOOST_AUTO_TEST_CASE(virtual_time_goes_on_when_an_abandoned_call_has_ended) {
    struct call {
        weft::semaphore begun{0};
        std::promise<void> go;
    };
    virtual_clock const clock;
    weft::run([] {
        for (int i = 0; i < 20; ++i) {
            auto const shared = std::make_shared<call>();
            auto caller = weft::spawn([&] {
                weft::offload({.abandon_on_cancel = true, .pool = nullptr}, [shared] {
                    shared->begun.release();
                    shared->go.get_future().wait();
                });
            });
            shared->begun.acquire();
            caller.cancel();
            BOOST_TEST(!caller.try_get().has_value());
            shared->go.set_value();
            weft::this_fiber::sleep_for(1h);
        }
    });
    BOOST_TEST((clock.elapsed() == 20h));
}

BOOST_AUTO_TEST_CASE(timers_call_and_are_cancelled) {
    virtual_clock const clock;
    weft::run([] {
        std::vector<int> calls;
        weft::timer first(10ms, [&] { calls.push_back(1); });
        weft::timer second(20ms, [&] { calls.push_back(2); });
        weft::timer third(5ms, [&] { calls.push_back(3); });
        BOOST_TEST(second.cancel());
        BOOST_TEST(!second.cancel());
        third.set(30ms);
        BOOST_TEST(first.wait());
        BOOST_TEST(!first.armed());
        BOOST_TEST(!second.wait());
        weft::this_fiber::yield();
        BOOST_TEST(calls == std::vector<int>{1}, boost::test_tools::per_element());
        BOOST_TEST(third.wait());
        weft::this_fiber::yield();
        BOOST_TEST(calls == (std::vector<int>{1, 3}), boost::test_tools::per_element());
        weft::timer left_armed(1h);
    });
    BOOST_TEST((clock.elapsed() == 30ms));
    BOOST_CHECK_THROW(weft::timer(1h), std::logic_error);
}

BOOST_AUTO_TEST_CASE(many_timers_expire_in_order_among_cancelled_ones) {
    weft::testing::for_each_schedule(30, [](weft::testing::random& draw) {
        std::vector<std::unique_ptr<weft::timer>> timers;
        std::set<unsigned> due;
        std::vector<unsigned> expired;
        auto const start = weft::clock::now();
        for (unsigned i = 0; i < 500; ++i) {
            unsigned const when = draw.below(1'000'000);
            if (!due.insert(when).second)
                continue;
            timers.push_back(
                std::make_unique<weft::timer>(start + std::chrono::microseconds(when), [&expired, start] {
                    expired.push_back(static_cast<unsigned>((weft::clock::now() - start) / 1us));
                }));
            if (draw.below(3) != 0) {
                timers.back()->cancel();
                due.erase(when);
            }
        }
        weft::this_fiber::sleep_for(2s);
        if (!std::equal(expired.begin(), expired.end(), due.begin(), due.end()))
            throw std::runtime_error("timers expired in another order, or not at all");
    });
}

BOOST_AUTO_TEST_CASE(a_seed_decides_the_order) {
    auto const order_of = [](std::uint64_t seed) {
        weft::testing::random_order const order(seed);
        std::vector<int> ran;
        weft::run([&] {
            for (int i = 0; i < 8; ++i)
                weft::spawn([&ran, i] {
                    ran.push_back(i);
                    weft::this_fiber::yield();
                    ran.push_back(i);
                }).detach();
        });
        return ran;
    };
    BOOST_TEST(order_of(1) == order_of(1), boost::test_tools::per_element());
    std::set<std::vector<int>> different;
    for (std::uint64_t seed = 0; seed < 100; ++seed)
        different.insert(order_of(seed));
    BOOST_TEST(different.size() == 100);
}

BOOST_AUTO_TEST_CASE(turns_are_taken_in_order) {
    weft::testing::for_each_schedule(200, [](weft::testing::random&) {
        weft::testing::sequencer turns;
        std::vector<int> order;
        std::vector<weft::fiber<>> fibers;
        for (int i = 9; i >= 0; --i)
            fibers.push_back(weft::spawn([&, i] {
                auto const turn = turns.take(static_cast<std::size_t>(i));
                weft::this_fiber::yield();
                order.push_back(i);
            }));
        fibers.clear();
        if (!std::is_sorted(order.begin(), order.end()) || order.size() != 10)
            throw std::runtime_error("out of turn");
        try {
            static_cast<void>(turns.take(3));
        } catch (std::logic_error const&) {
            return;
        }
        throw std::runtime_error("a turn was taken twice");
    });
}

BOOST_AUTO_TEST_CASE(of_two_that_wait_for_one_turn_one_gets_it) {
    weft::testing::for_each_schedule(200, [](weft::testing::random& draw) {
        weft::testing::sequencer turns;
        auto first = std::make_unique<weft::testing::sequencer::turn>(turns.take(0));
        int taken = 0;
        int refused = 0;
        auto const take = [&] {
            try {
                auto const turn = turns.take(1);
                weft::this_fiber::yield();
                ++taken;
            } catch (std::logic_error const&) {
                ++refused;
            }
        };
        auto one = weft::spawn(take);
        auto other = weft::spawn(take);
        for (unsigned i = draw.below(6); i > 0; --i)
            weft::this_fiber::yield();
        first.reset();
        one.join();
        other.join();
        static_cast<void>(turns.take(2)); // which is the next
        if (taken != 1 || refused != 1)
            throw std::runtime_error("a turn was taken twice");
    });
}

BOOST_AUTO_TEST_CASE(a_failing_schedule_prints_its_seed) {
    auto const result = support::in_child([] {
        ::setenv("WEFT_TEST_SEED", "1234", 1); // NOLINT(concurrency-mt-unsafe): a child of one thread
        try {
            int runs = 0;
            weft::testing::for_each_schedule(100, [&](weft::testing::random&) {
                if (++runs == 7)
                    throw std::runtime_error("x");
            });
        } catch (std::runtime_error const&) {
            return 3;
        }
        return 0;
    });
    BOOST_TEST(result.exited(3));
    BOOST_TEST(result.errors.find("schedule 7 of 100 failed; WEFT_TEST_SEED=1240 repeats it") !=
                   std::string::npos,
               result.errors);
}

BOOST_AUTO_TEST_CASE(a_switch_in_a_region_without_ends_the_program) {
    auto const result = support::in_child([] {
        return weft::run([] {
            weft::spawn({.name = "hasty", .stack_size = 0}, [] {
                weft::this_fiber::no_switch const together;
                { weft::this_fiber::no_switch const nested; }
                weft::this_fiber::sleep_for(1ms);
            }).join();
            return 0;
        });
    });
    BOOST_TEST(result.killed_by(SIGABRT));
    BOOST_TEST(result.errors.find("fiber \"hasty\" would switch in a no_switch region, by sleep") !=
                   std::string::npos,
               result.errors);
    BOOST_TEST(result.errors.find("testing_test.cpp:") != std::string::npos);
    weft::run([] {
        weft::mutex free;
        {
            weft::this_fiber::no_switch const together;
            free.lock(); // nothing to wait for
            free.unlock();
        }
        weft::this_fiber::yield();
    });
    weft::this_fiber::no_switch const nothing; // on a plain thread
}

BOOST_AUTO_TEST_CASE(misuse_is_told) {
    virtual_clock const clock;
    BOOST_CHECK_THROW(virtual_clock(), std::logic_error);
    weft::testing::random_order const order(1);
    BOOST_CHECK_THROW(weft::testing::random_order(2), std::logic_error);
    weft::run([] {
        BOOST_CHECK_THROW(virtual_clock(), std::logic_error);
        BOOST_CHECK_THROW(weft::testing::random_order(2), std::logic_error);
    });
}
