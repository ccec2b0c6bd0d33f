// once: a function that runs once, for all.
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/once.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/disturbance.hpp"
#include "support/everywhere.hpp"
#include "support/messages.hpp"
#include "support/require.hpp"

namespace {

using namespace std::chrono_literals;
using support::require;

} // namespace

BOOST_AUTO_TEST_CASE(runs_once_and_whoever_comes_meanwhile_waits) {
    weft::run([] {
        weft::once loaded("table");
        BOOST_TEST(!loaded.done());
        int runs = 0;
        bool finished = false;
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 5; ++i)
            fibers.push_back(weft::spawn([&] {
                loaded.call([&] {
                    ++runs;
                    weft::this_fiber::yield();
                    finished = true;
                });
                BOOST_TEST(finished);
            }));
        fibers.clear();
        BOOST_TEST(loaded.done());
        loaded.call([&] { ++runs; });
        BOOST_TEST(runs == 1);
    });
}

BOOST_AUTO_TEST_CASE(if_it_throws_the_next_one_runs_its_own) {
    weft::run([] {
        weft::once loaded;
        auto failing = weft::spawn([&] {
            loaded.call([] {
                weft::this_fiber::yield();
                throw std::out_of_range("x");
            });
        });
        int ran = 0;
        auto next = weft::spawn([&] { loaded.call([&] { ran = 1; }); });
        auto third = weft::spawn([&] { loaded.call([&] { ran = 2; }); });
        BOOST_CHECK_THROW(failing.get(), std::out_of_range);
        next.join();
        third.join();
        BOOST_TEST(ran == 1);
        BOOST_TEST(loaded.done());
    });
}

BOOST_AUTO_TEST_CASE(a_function_that_asks_for_itself_is_told) {
    weft::once loaded("table");
    BOOST_CHECK_EXCEPTION(loaded.call([&] { loaded.call([] {}); }), std::system_error,
                          support::says(std::errc::resource_deadlock_would_occur,
                                        "\"table\": locked again by its owner, thread"));
    BOOST_TEST(!loaded.done());
    loaded.call([] {});
    BOOST_TEST(loaded.done());
}

BOOST_AUTO_TEST_CASE(waiting_can_be_cancelled_and_running_goes_on) {
    weft::run([] {
        weft::once loaded;
        auto runner = weft::spawn([&] { loaded.call([] { weft::this_fiber::sleep_for(1ms); }); });
        auto waiter = weft::spawn([&] { loaded.call([] {}); });
        weft::this_fiber::yield();
        waiter.cancel();
        BOOST_CHECK_THROW(waiter.get(), weft::fiber_cancelled);
        runner.get();
        BOOST_TEST(loaded.done());
        // The function that is cancelled has thrown, like any other.
        weft::once again;
        auto cancelled = weft::spawn([&] { again.call([] { weft::this_fiber::sleep_for(1h); }); });
        weft::this_fiber::yield();
        cancelled.cancel();
        BOOST_CHECK_THROW(cancelled.get(), weft::fiber_cancelled);
        BOOST_TEST(!again.done());
        // What is done needs no wait.
        weft::cancel_scope scope;
        scope.cancel();
        loaded.call([] {});
    });
}

BOOST_AUTO_TEST_CASE(holds_in_every_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        weft::once once;
        int running = 0;
        int finished = 0;
        chance.run(6, [&](unsigned) {
            for (int i = 0; i < 2; ++i) {
                chance.pause();
                bool returned = false;
                try {
                    once.call([&] {
                        struct leaving {
                            int& running;
                            ~leaving() { --running; }
                        } const at_end{running};
                        require(++running == 1 && finished == 0, "it runs twice");
                        chance.pause();
                        if (chance.one_in(3))
                            throw 1;
                        ++finished;
                    });
                    returned = true;
                } catch (int) { // this one's own
                    require(!once.done() || finished == 1, "done, though it has thrown");
                }
                require(!returned || (finished == 1 && once.done()), "it returned, and nothing was run");
            }
        });
        require(once.done() == (finished == 1), "done, and nothing was run");
    });
}

BOOST_AUTO_TEST_CASE(holds_between_workers_and_threads) {
    constexpr unsigned rounds = support::sanitized ? 300 : 2000;
    struct guarded {
        weft::once once;
        int runs = 0; // written by who runs it
    };
    std::vector<guarded> all(rounds);
    support::everywhere(4, [&](weft::testing::random& draw) {
        for (guarded& each : all)
            while (!each.once.done())
                support::maybe_cancelled(draw, [&] {
                    try {
                        each.once.call([&] {
                            if (draw.below(2) == 0)
                                weft::this_fiber::yield();
                            if (draw.below(3) == 0)
                                throw 1;
                            ++each.runs;
                        });
                        require(each.runs == 1, "it returned, and it was not run once");
                    } catch (int) { // the next one
                    }
                });
        for (guarded const& each : all)
            require(each.runs == 1, "it was not run once");
    });
}
