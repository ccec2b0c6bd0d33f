// latch: counted down once, open for good.
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/latch.hpp>
#include <weft/run.hpp>
#include <weft/testing/virtual_clock.hpp>
#include <weft/this_fiber.hpp>

#include "support/disturbance.hpp"
#include "support/everywhere.hpp"
#include "support/messages.hpp"
#include "support/require.hpp"
#include "support/short_lived.hpp"

namespace {

using namespace std::chrono_literals;
using support::require;
using support::says;

} // namespace

BOOST_AUTO_TEST_CASE(opens_at_zero_for_good) {
    weft::run([] {
        weft::latch latch(3, "start");
        BOOST_TEST(latch.name() == std::string("start"));
        std::vector<int> order;
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 3; ++i)
            fibers.push_back(weft::spawn([&, i] {
                latch.wait();
                order.push_back(i);
            }));
        weft::this_fiber::yield();
        latch.count_down(2);
        latch.count_down(0);
        weft::this_fiber::yield();
        BOOST_TEST(!latch.try_wait());
        BOOST_TEST(order.empty());
        latch.arrive_and_wait();
        BOOST_TEST(latch.try_wait());
        latch.wait();
        latch.count_down(0);
        fibers.clear();
        BOOST_TEST(order == (std::vector<int>{0, 1, 2}), boost::test_tools::per_element());
        weft::latch(0).wait();
    });
}

BOOST_AUTO_TEST_CASE(refuses_nonsense_and_changes_nothing) {
    BOOST_CHECK_EXCEPTION(weft::latch(-1, "start"), std::invalid_argument,
                          says("weft::latch \"start\": can't begin"));
    weft::latch latch(2, "start");
    BOOST_CHECK_EXCEPTION(latch.count_down(3), std::logic_error, says("weft::latch \"start\": counted down"));
    BOOST_CHECK_THROW(latch.count_down(-1), std::logic_error);
    latch.count_down(2);
    BOOST_TEST(latch.try_wait());
    BOOST_CHECK_THROW(latch.count_down(), std::logic_error);
    BOOST_CHECK_THROW(latch.arrive_and_wait(), std::logic_error);
}

BOOST_AUTO_TEST_CASE(timed_and_cancelled_waits_say_truly_why_they_returned) {
    weft::testing::virtual_clock const clock;
    weft::run([&] {
        weft::latch latch(2);
        BOOST_TEST(!latch.wait_for(1ms));
        BOOST_TEST((clock.elapsed() == 1ms));
        auto waiter = weft::spawn([&] { latch.arrive_and_wait(); });
        weft::this_fiber::yield();
        waiter.cancel();
        BOOST_CHECK_THROW(waiter.get(), weft::fiber_cancelled);
        auto in_time = weft::spawn([&] { return latch.wait_for(1h); });
        weft::this_fiber::yield();
        latch.count_down(); // the cancelled one was counted
        BOOST_TEST(in_time.get());
        BOOST_TEST(latch.wait_until(weft::clock::now() - 1s));
    });
}

BOOST_AUTO_TEST_CASE(holds_in_every_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        constexpr unsigned count = 6;
        weft::latch latch(count);
        unsigned arrived = 0;
        chance.run(count, [&](unsigned) {
            struct arrival { // whatever becomes of the fiber
                weft::latch& latch;
                unsigned& arrived;
                bool done = false;
                void arrive() {
                    done = true;
                    ++arrived;
                    latch.count_down();
                }
                ~arrival() {
                    if (!done)
                        arrive();
                }
            } mine{latch, arrived};
            for (int i = 0; i < 3; ++i) {
                chance.pause();
                require(latch.try_wait() == (arrived == count), "it is open, and should not be");
                auto const deadline = chance.soon();
                if (latch.wait_until(deadline))
                    require(arrived == count, "let through too early");
                else
                    require(weft::clock::now() >= deadline, "gave up before the deadline");
            }
            mine.arrive();
            latch.wait();
            require(arrived == count, "let through too early");
        });
        require(latch.try_wait(), "it is not open in the end");
    });
}

BOOST_AUTO_TEST_CASE(holds_between_workers_and_threads) {
    constexpr unsigned count = 4 * support::workers_everywhere + support::threads_everywhere;
    constexpr unsigned rounds = support::sanitized ? 100 : 500;
    std::vector<std::unique_ptr<weft::latch>> latches;
    for (unsigned i = 0; i < rounds; ++i)
        latches.push_back(std::make_unique<weft::latch>(count));
    std::vector<std::atomic<unsigned>> arrived(rounds);
    support::everywhere(4, [&](weft::testing::random& draw) {
        for (unsigned i = 0; i < rounds; ++i) {
            ++arrived[i];
            latches[i]->count_down();
            if (support::maybe_cancelled(draw, [&] { latches[i]->wait(); }))
                require(arrived[i] == count, "let through too early");
            latches[i]->wait();
        }
    });
}

BOOST_AUTO_TEST_CASE(may_end_as_soon_as_it_opens) {
    support::short_lived([] { return std::make_unique<weft::latch>(1); },
                         [](weft::latch& one) { one.wait(); }, [](weft::latch& one) { one.count_down(); });
}
