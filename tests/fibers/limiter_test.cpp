// limiter: tokens that know who holds them.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/limiter.hpp>
#include <weft/run.hpp>
#include <weft/testing/virtual_clock.hpp>
#include <weft/this_fiber.hpp>

#include "support/disturbance.hpp"
#include "support/everywhere.hpp"
#include "support/line.hpp"
#include "support/messages.hpp"
#include "support/require.hpp"
#include "support/short_lived.hpp"

namespace {

using namespace std::chrono_literals;
using support::require;
using support::says;

} // namespace

BOOST_AUTO_TEST_CASE(lets_so_many_in_in_order) {
    weft::run([] {
        weft::limiter limiter(2, "connections");
        BOOST_TEST(limiter.name() == std::string("connections"));
        BOOST_TEST(limiter.total() == 2);
        int inside = 0;
        int most = 0;
        std::vector<int> order;
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 8; ++i)
            fibers.push_back(weft::spawn([&, i] {
                std::scoped_lock const token(limiter);
                order.push_back(i);
                most = std::max(most, ++inside);
                weft::this_fiber::yield();
                --inside;
            }));
        weft::this_fiber::yield();
        BOOST_TEST(limiter.borrowed() == 2);
        BOOST_TEST(!limiter.try_acquire());
        fibers.clear();
        BOOST_TEST(most == 2);
        BOOST_TEST(limiter.borrowed() == 0);
        BOOST_TEST(std::is_sorted(order.begin(), order.end()));
        std::unique_lock const token(limiter, 1ms);
        BOOST_TEST(token.owns_lock());
        BOOST_TEST(limiter.holder() != 0);
    });
}

BOOST_AUTO_TEST_CASE(misuse_names_the_limiter_and_the_culprit) {
    weft::run([] {
        weft::limiter limiter(2, "connections");
        BOOST_CHECK_EXCEPTION(limiter.release(), std::logic_error,
                              says("weft::limiter \"connections\": released by thread"));
        limiter.acquire();
        auto const twice = says("weft::limiter \"connections\": acquired again by thread");
        BOOST_CHECK_EXCEPTION(limiter.acquire(), std::logic_error, twice);
        BOOST_CHECK_EXCEPTION(static_cast<void>(limiter.try_acquire()), std::logic_error, twice);
        BOOST_CHECK_EXCEPTION(static_cast<void>(limiter.try_acquire_for(1ms)), std::logic_error, twice);
        BOOST_TEST(limiter.borrowed() == 1);
        weft::spawn([&] {
            auto const me = "fiber " + std::to_string(weft::this_fiber::id());
            BOOST_CHECK_EXCEPTION(limiter.release(), std::logic_error, says("released by " + me));
            limiter.acquire();
            BOOST_CHECK_EXCEPTION(limiter.acquire(), std::logic_error, says("acquired again by " + me));
            limiter.release();
        }).join();
        BOOST_TEST(limiter.borrowed() == 1);
        std::thread([&] {
            BOOST_CHECK_THROW(limiter.release(), std::logic_error);
            limiter.acquire();
            limiter.release();
        }).join();
        limiter.release();
    });
}

BOOST_AUTO_TEST_CASE(more_tokens_let_waiters_in_and_fewer_hold_them_back) {
    weft::testing::virtual_clock const clock;
    weft::run([] {
        weft::limiter limiter(0);
        int inside = 0;
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 6; ++i)
            fibers.push_back(weft::spawn([&] {
                std::scoped_lock const token(limiter);
                ++inside;
                weft::this_fiber::sleep_for(10ms);
                --inside;
            }));
        weft::this_fiber::sleep_for(1ms);
        BOOST_TEST(inside == 0);
        limiter.set_total(4);
        weft::this_fiber::sleep_for(1ms);
        BOOST_TEST(inside == 4);
        limiter.set_total(1);
        BOOST_TEST(limiter.borrowed() == 4);
        limiter.set_total(2); // more than a moment ago, but fewer than are out
        BOOST_TEST(limiter.borrowed() == 4);
        weft::this_fiber::sleep_for(10ms);
        BOOST_TEST(inside == 2);
        limiter.set_total(100);
        BOOST_TEST(limiter.total() == 100);
        fibers.clear();
        BOOST_TEST(limiter.borrowed() == 0);
    });
}

BOOST_AUTO_TEST_CASE(timed_and_cancelled_waits_say_truly_why_they_returned) {
    weft::testing::virtual_clock const clock;
    weft::run([&] {
        weft::limiter limiter(1);
        limiter.acquire();
        auto late = weft::spawn([&] { return limiter.try_acquire_for(1ms); });
        auto cancelled = weft::spawn([&] { limiter.acquire(); });
        auto in_time = weft::spawn([&] {
            bool const got = limiter.try_acquire_for(5ms);
            limiter.release();
            return got;
        });
        BOOST_TEST(!late.get());
        BOOST_TEST((clock.elapsed() == 1ms));
        cancelled.cancel();
        BOOST_CHECK_THROW(cancelled.get(), weft::fiber_cancelled);
        limiter.release();
        BOOST_TEST(in_time.get());
        BOOST_TEST(limiter.borrowed() == 0);
        weft::cancel_scope scope;
        scope.cancel();
        BOOST_CHECK_THROW(limiter.acquire(), weft::cancelled);
        BOOST_TEST(limiter.borrowed() == 0);
    });
}

BOOST_AUTO_TEST_CASE(holds_in_every_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        weft::limiter limiter(2);
        support::line all(2);
        unsigned inside = 0;
        chance.run(6, [&](unsigned) {
            for (int i = 0; i < 3; ++i) {
                chance.pause();
                if (!support::take(chance, all, limiter))
                    continue;
                support::holding const held(all, limiter);
                require(++inside <= 2 && inside <= limiter.borrowed(), "more are inside than may be");
                chance.yield();
                --inside;
            }
        });
        require(limiter.borrowed() == 0, "a token is held by one that has gone");
    });
}

BOOST_AUTO_TEST_CASE(a_total_that_changes_holds_in_every_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        weft::limiter limiter(2);
        std::size_t most =
            2; // that may be out: the total, or what was out when it was lowered, less what came back
        auto const look = [&] {
            most = std::max(limiter.total(), std::min(most, limiter.borrowed()));
            require(limiter.borrowed() <= most, "one was let in though it was lowered");
        };
        chance.run(
            6,
            [&](unsigned) {
                for (int i = 0; i < 3; ++i) {
                    chance.pause();
                    bool const got = chance.one_in(2) ? limiter.try_acquire_until(chance.soon())
                                                      : (limiter.acquire(), true);
                    require(limiter.borrowed() <= most, "one was let in though it was lowered");
                    if (!got)
                        continue;
                    chance.yield();
                    limiter.release();
                    look();
                }
            },
            [&] {
                for (int i = 0; i < 8; ++i) {
                    chance.pause();
                    limiter.set_total(draw.below(5));
                    look();
                    most = std::max(most, limiter.total());
                }
                limiter.set_total(1);
                look();
            });
        require(limiter.borrowed() == 0, "a token is held by one that has gone");
    });
}

BOOST_AUTO_TEST_CASE(holds_between_workers_and_threads) {
    weft::limiter limiter(3);
    std::atomic<int> inside = 0;
    support::everywhere(4, [&](weft::testing::random& draw) {
        for (unsigned i = 0; i < support::rounds_everywhere; ++i)
            support::maybe_cancelled(draw, [&] {
                std::unique_lock token(limiter, std::defer_lock);
                switch (draw.below(4)) {
                case 0: static_cast<void>(token.try_lock()); break;
                case 1:
                    static_cast<void>(token.try_lock_for(std::chrono::microseconds(draw.below(50))));
                    break;
                default: token.lock();
                }
                if (!token.owns_lock())
                    return;
                require(++inside <= 5, "more are inside than may be");
                if (draw.below(8) == 0)
                    limiter.set_total(1 + draw.below(5));
                if (draw.below(4) == 0)
                    weft::this_fiber::yield();
                --inside;
            });
    });
    BOOST_TEST(limiter.borrowed() == 0);
}

// As a semaphore.
BOOST_AUTO_TEST_CASE(may_end_as_soon_as_it_was_handed_over) {
    support::short_lived_lock([] { return std::make_unique<weft::limiter>(1); });
}
