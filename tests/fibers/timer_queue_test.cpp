// timer_queue: the lazy re-arming that makes a deadline on every read cheap, and the heap under it.
#include "timer_queue.hpp"

#include <algorithm>
#include <deque>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support/seed.hpp"

namespace {

using namespace std::chrono_literals;
using weft::detail::fiber_core;
using weft::detail::timer_queue;

weft::time_point at(std::chrono::milliseconds time) { return weft::time_point() + 1000s + time; }

void wait_until(timer_queue& timers, fiber_core& fiber, weft::time_point deadline) {
    fiber.deadline = deadline;
    timers.arm(fiber);
}

} // namespace

// None of these fibers is parked, so expire() wakes nobody: what is tested is where the timers sit.
BOOST_AUTO_TEST_CASE(a_later_deadline_leaves_the_timer_where_it_is) {
    timer_queue timers;
    fiber_core fiber;
    wait_until(timers, fiber, at(10ms));
    BOOST_TEST((fiber.timer_due == at(10ms)));
    for (int i = 1; i < 1000; ++i) {
        fiber.deadline = weft::never; // woken
        wait_until(timers, fiber, at(10ms + std::chrono::milliseconds(i)));
        BOOST_TEST((fiber.timer_due == at(10ms)));
    }
    timers.expire(at(10ms));
    BOOST_TEST((fiber.timer_due == at(1009ms))); // moved to where the fiber's deadline is now
    fiber.deadline = weft::never;
    timers.expire(at(1009ms));
    BOOST_TEST((fiber.timer_due == weft::never));
    BOOST_TEST((timers.next() == weft::never));
}

BOOST_AUTO_TEST_CASE(an_earlier_deadline_moves_it) {
    timer_queue timers;
    fiber_core fiber;
    wait_until(timers, fiber, at(100ms));
    wait_until(timers, fiber, at(50ms));
    BOOST_TEST((timers.next() == at(50ms)));
    timers.remove(fiber);
    BOOST_TEST((timers.next() == weft::never));
}

BOOST_AUTO_TEST_CASE(the_heap_agrees_with_a_sorted_list) {
    support::seeded random;
    timer_queue timers;
    std::deque<fiber_core> fibers(300);
    for (int step = 0; step < 20'000; ++step) {
        fiber_core& fiber = fibers[random.below(300)];
        auto const time = at(std::chrono::milliseconds(random.below(100'000)));
        switch (random.below(4)) {
        case 0: timers.remove(fiber); break;
        case 1:
            fiber.deadline = weft::never;
            timers.expire(std::min(timers.next(), time));
            break;
        default: wait_until(timers, fiber, time); break;
        }
        auto const least = std::min_element(fibers.begin(), fibers.end(), [](auto const& a, auto const& b) {
            return a.timer_due < b.timer_due;
        });
        BOOST_REQUIRE_MESSAGE(timers.next() == least->timer_due, "seed " << random.seed());
    }
    for (fiber_core& fiber : fibers)
        timers.remove(fiber);
    BOOST_TEST((timers.next() == weft::never));
}
