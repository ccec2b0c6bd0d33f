// timer_queue: the lazy re-arming that makes a deadline on every read cheap, and the heap under it.
#include "timer_queue.hpp"

#include <algorithm>
#include <deque>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support/seed.hpp"

namespace {

using namespace std::chrono_literals;
using weft::detail::timer_node;
using weft::detail::timer_queue;

weft::time_point at(std::chrono::milliseconds time) { return weft::time_point() + 1000s + time; }

void wait_until(timer_queue& timers, timer_node& timer, weft::time_point deadline) {
    timer.deadline = deadline;
    timers.arm(timer);
}

} // namespace

BOOST_AUTO_TEST_CASE(a_later_deadline_leaves_the_timer_where_it_is) {
    timer_queue timers;
    timer_node timer;
    timer.expire = [](timer_node&) noexcept {};
    wait_until(timers, timer, at(10ms));
    BOOST_TEST((timer.queued == at(10ms)));
    for (int i = 1; i < 1000; ++i) {
        timer.deadline = weft::never; // woken
        wait_until(timers, timer, at(10ms + std::chrono::milliseconds(i)));
        BOOST_TEST((timer.queued == at(10ms)));
    }
    timers.expire(at(10ms));
    BOOST_TEST((timer.queued == at(1009ms))); // moved to where the fiber's deadline is now
    timer.deadline = weft::never;
    timers.expire(at(1009ms));
    BOOST_TEST((timer.queued == weft::never));
    BOOST_TEST((timers.next() == weft::never));
}

BOOST_AUTO_TEST_CASE(an_earlier_deadline_moves_it) {
    timer_queue timers;
    timer_node timer;
    timer.expire = [](timer_node&) noexcept {};
    wait_until(timers, timer, at(100ms));
    wait_until(timers, timer, at(50ms));
    BOOST_TEST((timers.next() == at(50ms)));
    timers.remove(timer);
    BOOST_TEST((timers.next() == weft::never));
}

BOOST_AUTO_TEST_CASE(the_heap_agrees_with_a_sorted_list) {
    support::seeded random;
    timer_queue timers;
    std::deque<timer_node> all(300);
    for (timer_node& timer : all)
        timer.expire = [](timer_node&) noexcept {};
    for (int step = 0; step < 20'000; ++step) {
        timer_node& timer = all[random.below(300)];
        auto const time = at(std::chrono::milliseconds(random.below(100'000)));
        switch (random.below(4)) {
        case 0: timers.remove(timer); break;
        case 1:
            timer.deadline = weft::never;
            timers.expire(std::min(timers.next(), time));
            break;
        default: wait_until(timers, timer, time); break;
        }
        auto const least = std::min_element(all.begin(), all.end(),
                                            [](auto const& a, auto const& b) { return a.queued < b.queued; });
        BOOST_REQUIRE_MESSAGE(timers.next() == least->queued, "seed " << random.seed());
    }
    for (timer_node& timer : all)
        timers.remove(timer);
    BOOST_TEST((timers.next() == weft::never));
}
