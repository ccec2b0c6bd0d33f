// timer: who waits for one is told what became of it, whoever sets it meanwhile. (More of it is in testing_test.cpp.)
#include <algorithm>
#include <chrono>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/testing/schedules.hpp>
#include <weft/this_fiber.hpp>
#include <weft/timer.hpp>

#include "support/disturbance.hpp"
#include "support/require.hpp"

namespace {

using namespace std::chrono_literals;
using support::require;

} // namespace

BOOST_AUTO_TEST_CASE(an_expiry_counts_though_it_is_set_again_at_once) {
    weft::testing::for_each_schedule(200, [](weft::testing::random&) {
        weft::timer timer(1ms);
        auto waiter = weft::spawn([&] { return timer.wait(); });
        auto setter = weft::spawn([&] {
            weft::this_fiber::sleep_for(1ms);
            timer.set(1h);
        });
        require(waiter.get(), "it has expired, and wait() says that it was cancelled");
        setter.join();
        require(timer.armed(), "it was set again");
        timer.cancel();
        require(!timer.wait(), "it was cancelled, and wait() says that it has expired");
    });
}

BOOST_AUTO_TEST_CASE(waits_end_truly_in_every_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        unsigned cancelled = 0;
        weft::time_point earliest_expiry = weft::never; // of all that it was set to
        weft::timer timer;
        auto const set = [&] {
            auto const when = weft::clock::now() + (1 + chance.below(3)) * chance.tick;
            earliest_expiry = std::min(earliest_expiry, when);
            timer.set(when);
        };
        set();
        chance.run(
            5,
            [&](unsigned which) {
                for (int i = 0; i < 4; ++i) {
                    chance.pause();
                    if (which == 0) {
                        set();
                    } else if (which == 1) {
                        cancelled += timer.cancel() ? 1U : 0U;
                    } else {
                        unsigned const before = cancelled;
                        bool const waited = timer.armed();
                        if (timer.wait())
                            require(weft::clock::now() >= earliest_expiry, "expired too early");
                        else
                            require(!waited || cancelled > before, "nobody has cancelled it");
                    }
                }
            },
            [&] { weft::this_fiber::sleep_for(10 * chance.tick); });
    });
}
