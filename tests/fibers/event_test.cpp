// event: set, cleared, waited for.
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/testing/virtual_clock.hpp>
#include <weft/this_fiber.hpp>

#include "support/disturbance.hpp"
#include "support/everywhere.hpp"
#include "support/require.hpp"
#include "support/short_lived.hpp"

namespace {

using namespace std::chrono_literals;
using support::require;

} // namespace

BOOST_AUTO_TEST_CASE(lets_everybody_go_on_in_order_and_stays_set) {
    weft::run([] {
        weft::event go("go");
        BOOST_TEST(go.name() == std::string("go"));
        BOOST_TEST(!go.is_set());
        std::vector<int> order;
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 4; ++i)
            fibers.push_back(weft::spawn([&, i] {
                go.wait();
                order.push_back(i);
            }));
        weft::this_fiber::yield();
        go.set();
        go.set();
        BOOST_TEST(go.is_set());
        BOOST_TEST(go.wait_for(0s));
        go.wait();
        fibers.clear();
        BOOST_TEST(order == (std::vector<int>{0, 1, 2, 3}), boost::test_tools::per_element());
        go.clear();
        BOOST_TEST(!go.is_set());
    });
}

BOOST_AUTO_TEST_CASE(who_waited_goes_on_though_it_is_cleared_at_once) {
    weft::run([] {
        weft::event pulse;
        auto waiter = weft::spawn([&] { pulse.wait(); });
        weft::this_fiber::yield();
        pulse.set();
        pulse.clear();
        auto late = weft::spawn([&] { return pulse.wait_for(1ms); });
        waiter.join();
        BOOST_TEST(!late.get());
    });
}

BOOST_AUTO_TEST_CASE(timed_waits_say_truly_why_they_returned) {
    weft::testing::virtual_clock const clock;
    weft::run([&] {
        weft::event go;
        BOOST_TEST(!go.wait_for(1ms));
        BOOST_TEST(!go.wait_until(weft::clock::now() - 1s));
        BOOST_TEST((clock.elapsed() == 1ms));
        auto setter = weft::spawn([&] {
            weft::this_fiber::sleep_for(1ms);
            go.set();
        });
        BOOST_TEST(go.wait_for(2ms));
        BOOST_TEST((clock.elapsed() == 2ms));
        BOOST_TEST(go.wait_until(weft::clock::now() - 1s));
    });
}

BOOST_AUTO_TEST_CASE(waiting_can_be_cancelled) {
    weft::run([] {
        weft::event never_set;
        auto waiter = weft::spawn([&] { never_set.wait(); });
        auto set_before = weft::spawn([&] { return never_set.wait_for(1h); });
        weft::this_fiber::yield();
        waiter.cancel();
        BOOST_CHECK_THROW(waiter.get(), weft::fiber_cancelled);
        never_set.set();
        set_before.cancel();
        BOOST_TEST(set_before.try_get().value());
    });
}

BOOST_AUTO_TEST_CASE(works_on_plain_threads) {
    weft::event there;
    weft::event back;
    std::thread other([&] {
        there.wait();
        back.set();
    });
    BOOST_TEST(!back.wait_for(1ms));
    there.set();
    back.wait();
    other.join();
}

BOOST_AUTO_TEST_CASE(no_wake_up_is_lost_in_any_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        weft::event flag;
        bool set = false;
        unsigned sets = 0;
        weft::time_point last_set{};
        auto const set_it = [&] {
            ++sets;
            last_set = weft::clock::now();
            set = true;
            flag.set();
        };
        chance.run(
            6,
            [&](unsigned which) {
                for (int i = 0; i < 5; ++i) {
                    chance.pause();
                    require(flag.is_set() == set, "it is not what it was made");
                    if (which == 0) {
                        set_it();
                    } else if (which == 1) {
                        flag.clear();
                        set = false;
                    } else {
                        bool const before = set;
                        unsigned const sets_before = sets;
                        auto const deadline = chance.one_in(2) ? chance.soon() : weft::never;
                        if (flag.wait_until(deadline)) {
                            require(before || sets > sets_before, "woken, but it was never set");
                        } else {
                            require(weft::clock::now() >= deadline, "gave up before the deadline");
                            require(!before && (sets == sets_before || last_set >= deadline),
                                    "it was set in time");
                        }
                    }
                }
            },
            [&] {
                weft::this_fiber::sleep_for(20 * chance.tick); // nobody clears it any more
                set_it();
            });
    });
}

// Two halves take turns: each waits for its event, clears it, and sets the other's.
BOOST_AUTO_TEST_CASE(no_wake_up_is_lost_between_workers_and_threads) {
    struct pair {
        weft::event ping;
        weft::event pong;
    };
    constexpr unsigned pairs = (4 * support::workers_everywhere + support::threads_everywhere) / 2;
    std::vector<pair> all(pairs);
    std::atomic<unsigned> next = 0;
    support::everywhere(4, [&](weft::testing::random& draw) {
        unsigned const mine = next++;
        pair& both = all[mine / 2];
        weft::event& own = mine % 2 == 0 ? both.ping : both.pong;
        weft::event& others = mine % 2 == 0 ? both.pong : both.ping;
        if (mine % 2 == 0)
            own.set();
        for (unsigned i = 0; i < support::rounds_everywhere / 3; ++i) {
            bool seen = false;
            while (!seen) {
                support::maybe_cancelled(draw, [&] {
                    if (draw.below(2) == 0) {
                        seen = own.wait_for(std::chrono::microseconds(draw.below(30)));
                    } else {
                        own.wait();
                        seen = true;
                    }
                });
            }
            require(own.is_set(), "woken, but it is not set");
            own.clear();
            others.set();
        }
    });
}

BOOST_AUTO_TEST_CASE(may_end_as_soon_as_it_was_set) {
    support::short_lived([] { return std::make_unique<weft::event>(); }, [](weft::event& one) { one.wait(); },
                         [](weft::event& one) { one.set(); });
    // Also by one that only looks.
    support::short_lived([] { return std::make_unique<weft::event>(); },
                         [](weft::event& one) {
                             while (!one.is_set())
                                 weft::this_fiber::yield();
                         },
                         [](weft::event& one) { one.set(); });
}
