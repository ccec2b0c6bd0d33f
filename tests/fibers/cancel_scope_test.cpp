// cancel_scope, move_on_after, fail_after: nesting, shields, deadlines that move, and what every wait of weft's does.
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/testing/schedules.hpp>
#include <weft/this_fiber.hpp>

#include "support/options.hpp"

namespace {

using namespace std::chrono_literals;

constexpr auto long_time = 100s;

} // namespace

BOOST_AUTO_TEST_CASE(a_deadline_ends_waits) {
    weft::run([] {
        weft::semaphore nothing(0);
        auto const begin = weft::clock::now();
        BOOST_TEST(!weft::move_on_after(5ms, [] { weft::this_fiber::sleep_for(long_time); }));
        BOOST_TEST(!weft::move_on_after(5ms, [&] { nothing.acquire(); }));
        BOOST_TEST(!weft::move_on_after(5ms, [&] { static_cast<void>(nothing.try_acquire_for(long_time)); }));
        auto sleeper = weft::spawn([&] { nothing.acquire(); });
        BOOST_TEST(!weft::move_on_after(5ms, [&] { sleeper.join(); }));
        nothing.release();
        BOOST_TEST((weft::clock::now() - begin >= 20ms));
        BOOST_TEST(weft::move_on_after(long_time, [] { weft::this_fiber::sleep_for(1ms); }));
        // The wait's own deadline comes first: that is no cancellation.
        BOOST_TEST(weft::move_on_after(long_time, [&] { BOOST_TEST(!nothing.try_acquire_for(1ms)); }));
        BOOST_TEST(nothing.available() == 0);
    });
}

BOOST_AUTO_TEST_CASE(it_stays_cancelled_until_it_is_left) {
    weft::run([] {
        weft::semaphore free(1);
        weft::cancel_scope scope;
        BOOST_TEST(!scope.cancel_called());
        scope.cancel("enough");
        BOOST_TEST(scope.cancel_called());
        for (int i = 0; i < 3; ++i) {
            try {
                free.acquire(); // though it need not wait
                BOOST_TEST(false);
            } catch (weft::cancelled const& cancelled) {
                BOOST_TEST(cancelled.reason() == "enough");
            }
        }
        BOOST_TEST(free.available() == 1);
        BOOST_TEST(weft::this_fiber::is_cancelled());
        BOOST_CHECK_THROW(weft::this_fiber::check_cancelled(), weft::cancelled);
    });
    weft::run([] { BOOST_TEST(!weft::this_fiber::is_cancelled()); });
}

BOOST_AUTO_TEST_CASE(another_fiber_cancels) {
    weft::run([] {
        weft::semaphore nothing(0);
        weft::cancel_scope* scope = nullptr;
        std::string reason;
        auto waiting = weft::spawn([&] {
            weft::cancel_scope mine;
            scope = &mine;
            BOOST_TEST(!mine.run([&] {
                try {
                    nothing.acquire();
                } catch (weft::cancelled const& cancelled) {
                    reason = cancelled.reason();
                    throw;
                }
            }));
        });
        weft::this_fiber::yield();
        scope->cancel("by another");
        waiting.join();
        BOOST_TEST(reason == "by another");
    });
}

BOOST_AUTO_TEST_CASE(scopes_nest) {
    weft::run([] {
        bool inner_went_on = false;
        bool outer_went_on = false;
        BOOST_TEST(!weft::move_on_after(5ms, [&] {
            // The outer one is over first: this is to end with it, not to go on.
            weft::move_on_after(long_time, [] { weft::this_fiber::sleep_for(long_time); });
            inner_went_on = true;
        }));
        BOOST_TEST(!inner_went_on);
        BOOST_TEST(weft::move_on_after(long_time, [&] {
            BOOST_TEST(!weft::move_on_after(5ms, [] { weft::this_fiber::sleep_for(long_time); }));
            weft::this_fiber::sleep_for(1ms);
            outer_went_on = true;
        }));
        BOOST_TEST(outer_went_on);
    });
}

BOOST_AUTO_TEST_CASE(a_shield_keeps_cancellation_out) {
    weft::run([] {
        weft::cancel_scope outer;
        outer.cancel();
        {
            weft::cancel_scope cleaning_up(5ms);
            cleaning_up.shield();
            weft::this_fiber::sleep_for(1ms);
            BOOST_TEST(
                !cleaning_up.run([] { weft::this_fiber::sleep_for(long_time); })); // its own deadline holds
            BOOST_TEST(cleaning_up.cancel_called());
            cleaning_up.set_deadline(weft::never); // too late
            BOOST_TEST(weft::this_fiber::is_cancelled());
        }
        {
            weft::cancel_scope inner;
            inner.shield();
            BOOST_TEST(!weft::this_fiber::is_cancelled());
            inner.shield(false);
            BOOST_TEST(weft::this_fiber::is_cancelled());
        }
        BOOST_CHECK_THROW(weft::this_fiber::sleep_for(1ms), weft::cancelled);
    });
}

BOOST_AUTO_TEST_CASE(a_deadline_may_move_while_it_is_waited_for) {
    weft::run([] {
        weft::semaphore nothing(0);
        auto const begin = weft::clock::now();
        weft::cancel_scope* scope = nullptr;
        auto waiting = weft::spawn([&] {
            weft::cancel_scope mine(10ms);
            scope = &mine;
            BOOST_TEST(!mine.run([&] { nothing.acquire(); }));
        });
        weft::this_fiber::yield();
        scope->set_deadline(begin + 30ms);
        waiting.join();
        BOOST_TEST((weft::clock::now() - begin >= 30ms));
        auto again = weft::spawn([&] {
            weft::cancel_scope mine(long_time);
            scope = &mine;
            BOOST_TEST(!mine.run([&] { nothing.acquire(); }));
        });
        weft::this_fiber::yield();
        scope->set_deadline(weft::clock::now() + 1ms);
        again.join();
    });
}

BOOST_AUTO_TEST_CASE(being_late_may_be_an_error) {
    weft::run([] {
        BOOST_TEST(weft::fail_after(long_time, [] { return 42; }) == 42);
        BOOST_TEST(*weft::fail_after(long_time, [] { return std::make_unique<int>(7); }) == 7);
        try {
            weft::fail_after(2ms, [] { weft::this_fiber::sleep_for(long_time); });
            BOOST_TEST(false);
        } catch (std::system_error const& error) {
            BOOST_TEST((error.code() == std::errc::timed_out));
        }
        BOOST_CHECK_THROW(weft::fail_after(long_time, []() -> int { throw std::runtime_error("other"); }),
                          std::runtime_error);
    });
}

// A permit that was handed over is not lost to a cancellation that comes with it.
BOOST_AUTO_TEST_CASE(nothing_is_lost_between_a_release_and_a_cancellation) {
    weft::run([] {
        for (bool const release_first : {true, false}) {
            weft::semaphore permits(0);
            weft::cancel_scope* scope = nullptr;
            bool acquired = false;
            auto waiting = weft::spawn([&] {
                weft::cancel_scope mine;
                scope = &mine;
                acquired = mine.run([&] { permits.acquire(); });
            });
            weft::this_fiber::yield();
            if (release_first)
                permits.release();
            scope->cancel();
            if (!release_first)
                permits.release();
            waiting.join();
            BOOST_TEST(acquired == release_first);
            BOOST_TEST(permits.available() == (acquired ? 0 : 1));
        }
    });
}

BOOST_AUTO_TEST_CASE(nothing_is_thrown_while_unwinding) {
    struct waits_at_its_end {
        bool& done;
        ~waits_at_its_end() {
            weft::this_fiber::sleep_for(1ms);
            done = true;
        }
    };
    weft::run([] {
        bool done = false;
        BOOST_TEST(!weft::move_on_after(1ms, [&] {
            waits_at_its_end const local{done};
            weft::this_fiber::sleep_for(long_time);
        }));
        BOOST_TEST(done);
    });
}

BOOST_AUTO_TEST_CASE(a_cancelled_fiber_ends_by_it) {
    weft::run([] {
        auto ending = weft::spawn([] {
            weft::cancel_scope scope;
            scope.cancel("over");
            weft::this_fiber::sleep_for(1ms);
        });
        // Not weft::cancelled, by which the one that asks would seem cancelled itself.
        BOOST_CHECK_EXCEPTION(ending.get(), weft::fiber_cancelled, [](auto const& error) {
            return std::string(error.what()).find("was cancelled: over") != std::string::npos;
        });
    });
}

BOOST_AUTO_TEST_CASE(misuse_is_told) {
    BOOST_CHECK_THROW(weft::cancel_scope(), std::logic_error);
    weft::run(
        [] {
            weft::cancel_scope scope;
            weft::semaphore told(0);
            weft::post(1, [&] {
                BOOST_CHECK_THROW(scope.cancel(), std::logic_error);
                told.release();
            });
            told.acquire();
        },
        support::with_workers(2));
}

// The deadline has ended the wait, but the fiber has not run yet when another one moves it.
BOOST_AUTO_TEST_CASE(a_deadline_that_has_ended_a_wait_stays_passed) {
    weft::testing::for_each_schedule(500, [](weft::testing::random&) {
        weft::cancel_scope* scope_of_other = nullptr;
        bool ended_by_scope = false;
        auto other = weft::spawn([&] {
            weft::cancel_scope scope(1ms);
            scope_of_other = &scope;
            ended_by_scope = !scope.run([] { weft::this_fiber::sleep_for(long_time); });
            scope_of_other = nullptr;
        });
        weft::this_fiber::sleep_for(1ms);
        if (scope_of_other != nullptr)
            scope_of_other->set_deadline(weft::deadline_after(1h));
        if (scope_of_other != nullptr && !other.join_for(1s))
            scope_of_other->cancel(); // moved in time
        other.get();
        if (!ended_by_scope)
            throw std::runtime_error("the scope ended nothing");
    });
}

BOOST_AUTO_TEST_CASE(a_deadline_that_has_ended_a_call_at_once_stays_passed) {
    weft::run([] {
        weft::cancel_scope scope(weft::clock::now() - 1ms);
        bool const finished = scope.run([&] {
            try {
                weft::this_fiber::sleep_for(1h);
            } catch (weft::cancelled const&) {
                scope.set_deadline(weft::never);
                throw;
            }
        });
        BOOST_TEST(!finished);
        BOOST_TEST(weft::this_fiber::is_cancelled());
    });
}

BOOST_AUTO_TEST_CASE(a_deadline_that_has_ended_no_wait_may_still_move) {
    weft::run([] {
        weft::semaphore permits(0);
        auto waiting = weft::spawn([&] {
            weft::cancel_scope scope(5ms);
            permits.acquire(); // granted in time, though it returns late
            scope.set_deadline(weft::never);
            return weft::this_fiber::is_cancelled();
        });
        weft::this_fiber::yield();
        auto const late = weft::clock::now() + 10ms;
        std::thread([&] { permits.release(); }).join();
        while (weft::clock::now() < late) { // the worker is busy
        }
        BOOST_TEST(!waiting.get());
    });
}
