// Timers: order, and that they neither slip nor starve.
#include <algorithm>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/seed.hpp"

namespace {

using namespace std::chrono_literals;

} // namespace

BOOST_AUTO_TEST_CASE(never_wakes_early_and_in_the_order_of_the_deadlines) {
    support::seeded random;
    weft::run([&] {
        // Late enough that all of them sleep before the first one is due.
        auto const start = weft::clock::now() + 200ms;
        std::vector<weft::time_point> woken;
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 500; ++i) {
            auto const deadline = start + std::chrono::microseconds(random.below(30'000));
            fibers.push_back(weft::spawn([&woken, deadline] {
                weft::this_fiber::sleep_until(deadline);
                BOOST_TEST((weft::clock::now() >= deadline));
                woken.push_back(deadline);
            }));
        }
        fibers.clear();
        BOOST_TEST(woken.size() == 500U);
        BOOST_TEST(std::is_sorted(woken.begin(), woken.end()));
    });
}

BOOST_AUTO_TEST_CASE(a_deadline_in_the_past_only_yields) {
    weft::run([] {
        bool other_ran = false;
        auto other = weft::spawn([&] { other_ran = true; });
        weft::this_fiber::sleep_for(-1h);
        weft::this_fiber::sleep_until(weft::time_point::min());
        BOOST_TEST(other_ran);
    });
}

// Fibers that are always ready must not keep a sleeping one from waking.
BOOST_AUTO_TEST_CASE(busy_fibers_do_not_starve_timers) {
    weft::run([] {
        bool woken = false;
        auto sleeper = weft::spawn([&] {
            for (int i = 0; i < 20; ++i)
                weft::this_fiber::sleep_for(1ms);
            woken = true;
        });
        auto const spin = [&] {
            while (!woken)
                weft::this_fiber::yield();
        };
        auto one = weft::spawn(spin);
        auto two = weft::spawn(spin);
    });
}
