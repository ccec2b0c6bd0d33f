// timer: who waits for one is told what became of it, whoever sets it meanwhile. (More of it is in testing_test.cpp.)
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

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
        struct setting {
            weft::time_point when;
            bool ended = false; // replaced or cancelled before it expired
        };
        std::vector<setting> settings;
        unsigned cancelled = 0;
        weft::timer timer;
        auto const set = [&] {
            if (timer.armed())
                settings.back().ended = true;
            else if (!settings.empty())
                require(settings.back().ended || weft::clock::now() >= settings.back().when,
                        "expired too early");
            settings.push_back({weft::clock::now() + (1 + chance.below(3)) * chance.tick});
            timer.set(settings.back().when);
        };
        auto const may_have_expired = [](setting const& each) {
            return !each.ended && weft::clock::now() >= each.when;
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
                        bool const ended = timer.cancel();
                        settings.back().ended |= ended;
                        cancelled += ended ? 1U : 0U;
                    } else {
                        unsigned const before = cancelled;
                        bool const waited = timer.armed();
                        auto const in_force = static_cast<std::ptrdiff_t>(settings.size()) - 1;
                        if (timer.wait())
                            require(
                                std::any_of(settings.begin() + in_force, settings.end(), may_have_expired),
                                "it has not expired");
                        else
                            require(!waited || cancelled > before, "nobody has cancelled it");
                    }
                }
            },
            [&] { weft::this_fiber::sleep_for(10 * chance.tick); });
    });
}
