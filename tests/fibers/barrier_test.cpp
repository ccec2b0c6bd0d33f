// barrier: phases that end when all have arrived.
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/barrier.hpp>
#include <weft/cancel_scope.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/testing/virtual_clock.hpp>
#include <weft/this_fiber.hpp>

#include "support/disturbance.hpp"
#include "support/everywhere.hpp"
#include "support/messages.hpp"
#include "support/require.hpp"

namespace {

using namespace std::chrono_literals;
using support::require;
using support::says;

} // namespace

BOOST_AUTO_TEST_CASE(meets_again_and_again) {
    weft::run([] {
        std::string story;
        weft::barrier barrier(
            3, [&] { story += '|'; }, "meeting");
        BOOST_TEST(barrier.name() == std::string("meeting"));
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 3; ++i)
            fibers.push_back(weft::spawn([&] {
                for (int phase = 0; phase < 3; ++phase) {
                    story += static_cast<char>('0' + phase);
                    barrier.arrive_and_wait();
                }
            }));
        fibers.clear();
        BOOST_TEST(story == "000|111|222|");
    });
}

BOOST_AUTO_TEST_CASE(the_completion_runs_on_the_last_before_anybody_goes_on) {
    weft::run([] {
        std::uint64_t ran_on = 0;
        bool completed = false;
        weft::barrier barrier(2, [&] {
            ran_on = weft::this_fiber::id();
            weft::this_fiber::yield(); // it may take its time
            completed = true;
        });
        auto first = weft::spawn([&] {
            barrier.arrive_and_wait();
            BOOST_TEST(completed);
        });
        auto last = weft::spawn([&] {
            barrier.arrive_and_wait();
            BOOST_TEST(completed);
        });
        auto const last_id = last.id();
        first.join();
        last.join();
        BOOST_TEST(ran_on == last_id);
    });
}

BOOST_AUTO_TEST_CASE(tokens_are_of_their_phase) {
    weft::testing::virtual_clock const clock;
    weft::run([&] {
        weft::barrier barrier(2);
        auto early = barrier.arrive();
        auto const later = weft::clock::now() + 1ms;
        bool const in_time = barrier.wait_until(std::move(early), later);
        BOOST_TEST(!in_time);
        BOOST_TEST((clock.elapsed() == 1ms));
        auto token = barrier.arrive(); // the phase has ended
        barrier.wait(std::move(token));
        // It may be asked for later, when others are on.
        auto old = barrier.arrive();
        barrier.arrive_and_wait();
        auto next = barrier.arrive();
        barrier.wait(std::move(old));
        bool const at_once = barrier.wait_until(std::move(next), weft::clock::now());
        BOOST_TEST(!at_once);
    });
}

BOOST_AUTO_TEST_CASE(who_drops_is_not_expected_any_more) {
    weft::run([] {
        int phases = 0;
        weft::barrier barrier(3, [&] { ++phases; });
        barrier.arrive_and_drop();
        auto other = weft::spawn([&] {
            barrier.arrive_and_wait();
            barrier.arrive_and_wait();
            barrier.arrive_and_drop();
        });
        barrier.arrive_and_wait();
        barrier.arrive_and_wait();
        barrier.arrive_and_wait();
        other.join();
        BOOST_TEST(phases == 3);
        barrier.arrive_and_wait(); // alone
        BOOST_TEST(phases == 4);
        barrier.arrive_and_drop();
        BOOST_TEST(phases == 5);
        BOOST_CHECK_THROW(static_cast<void>(barrier.arrive()), std::logic_error);
    });
}

BOOST_AUTO_TEST_CASE(refuses_nonsense) {
    BOOST_CHECK_EXCEPTION(weft::barrier(-1, {}, "meeting"), std::invalid_argument,
                          says("weft::barrier \"meeting\": can't expect"));
    weft::barrier nobody(0, {}, "meeting");
    BOOST_CHECK_EXCEPTION(static_cast<void>(nobody.arrive()), std::logic_error,
                          says("weft::barrier \"meeting\": more have arrived than are expected"));
    BOOST_CHECK_THROW(nobody.arrive_and_drop(), std::logic_error);
    // While the completion runs, the phase has not ended.
    weft::run([] {
        std::optional<weft::barrier> barrier;
        bool refused = false;
        barrier.emplace(1, [&] {
            auto other = weft::spawn([&] {
                try {
                    static_cast<void>(barrier->arrive());
                } catch (std::logic_error const&) {
                    refused = true;
                }
            });
            other.join();
        });
        barrier->arrive_and_wait();
        BOOST_TEST(refused);
        barrier->arrive_and_wait();
    });
}

BOOST_AUTO_TEST_CASE(who_is_cancelled_has_arrived) {
    weft::run([] {
        weft::barrier barrier(2);
        auto waiter = weft::spawn([&] { barrier.arrive_and_wait(); });
        weft::this_fiber::yield();
        waiter.cancel();
        BOOST_CHECK_THROW(waiter.get(), weft::fiber_cancelled);
        barrier.arrive_and_wait(); // doesn't wait: both have arrived
    });
}

// Those who are cancelled drop out, in whichever phase they are.
BOOST_AUTO_TEST_CASE(holds_in_every_order) {
    struct model {
        unsigned phase = 0;
        unsigned expected; // in later phases
        unsigned missing;  // in this one
        bool completing = false;
        bool wrong = false;
    };
    struct member { // leaves when it ends, in whatever way
        model& all;
        weft::barrier& barrier;
        bool has_arrived = false; // in in_phase
        unsigned in_phase = 0;

        ~member() {
            weft::detail::uncancellable const leaving;
            // It was counted in a phase that has not ended: the next one is where it can leave.
            while (has_arrived && in_phase == all.phase)
                weft::this_fiber::sleep_for(support::disturbance::tick);
            --all.expected;
            --all.missing;
            barrier.arrive_and_drop();
        }
    };
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        constexpr unsigned count = 5;
        model all{.expected = count, .missing = count};
        weft::barrier barrier(count, [&] {
            all.wrong = all.wrong || all.missing != 0 || all.completing;
            all.completing = true;
            chance.yield();
            all.completing = false;
            all.missing = all.expected;
            ++all.phase;
        });
        chance.run(count, [&](unsigned) {
            member mine{.all = all, .barrier = barrier};
            for (int i = 0; i < 3; ++i) {
                chance.pause();
                mine.in_phase = all.phase;
                mine.has_arrived = true;
                --all.missing;
                auto token = barrier.arrive();
                chance.pause();
                if (chance.one_in(3)) {
                    auto const deadline = chance.soon();
                    if (!barrier.wait_until(std::move(token), deadline)) {
                        require(weft::clock::now() >= deadline, "gave up before the deadline");
                        return;
                    }
                } else {
                    barrier.wait(std::move(token));
                }
                require(all.phase > mine.in_phase, "let through too early");
                mine.has_arrived = false;
            }
        });
        require(!all.wrong, "a phase has ended too early, or twice");
        require(all.expected == 0 && all.missing == 0, "somebody is still expected");
    });
}

BOOST_AUTO_TEST_CASE(holds_between_workers_and_threads) {
    constexpr unsigned count = 4 * support::workers_everywhere + support::threads_everywhere;
    constexpr unsigned rounds = support::sanitized ? 100 : 500;
    unsigned phase = 0; // written while all wait
    weft::barrier barrier(count, [&] { ++phase; });
    std::atomic<unsigned> arrived = 0;
    support::everywhere(4, [&](weft::testing::random& draw) {
        for (unsigned i = 0; i < rounds; ++i) {
            require(phase == i, "let through too early");
            ++arrived;
            auto token = barrier.arrive();
            if (draw.below(4) == 0)
                weft::this_fiber::yield();
            barrier.wait(std::move(token));
            require(arrived >= (i + 1) * count, "let through too early");
        }
    });
    BOOST_TEST(phase == rounds);
}

BOOST_AUTO_TEST_CASE(a_phase_ends_whatever_becomes_of_the_last) {
    weft::run([] {
        int completed = 0;
        weft::barrier barrier(2, [&] {
            weft::this_fiber::sleep_for(1ms); // isn't cancelled
            if (++completed == 2)
                throw std::runtime_error("x");
        });
        int passed = 0;
        auto other = weft::spawn([&] {
            for (int i = 0; i < 2; ++i) {
                barrier.arrive_and_wait();
                ++passed;
            }
        });
        weft::this_fiber::yield();
        weft::move_on_after(0s, [&] { barrier.arrive_and_wait(); });
        weft::this_fiber::yield();
        BOOST_TEST(passed == 1);
        BOOST_TEST(completed == 1);
        weft::this_fiber::yield();
        BOOST_CHECK_THROW(barrier.arrive_and_wait(), std::runtime_error);
        other.join();
        BOOST_TEST(passed == 2);
    });
}
