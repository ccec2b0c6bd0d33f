// promise and future: one value, handed over once.
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/future.hpp>
#include <weft/run.hpp>
#include <weft/testing/virtual_clock.hpp>
#include <weft/this_fiber.hpp>

#include "support/disturbance.hpp"
#include "support/everywhere.hpp"
#include "support/require.hpp"
#include "support/short_lived.hpp"

namespace {

using namespace std::chrono_literals;
using support::require;

auto says(std::future_errc code) {
    return [code](std::future_error const& error) { return error.code() == code; };
}

} // namespace

BOOST_AUTO_TEST_CASE(hands_values_of_every_kind_over) {
    weft::run([] {
        weft::promise<std::unique_ptr<int>> moved;
        auto moved_here = moved.get_future();
        auto giver = weft::spawn([&] { moved.set_value(std::make_unique<int>(5)); });
        BOOST_TEST(!moved_here.ready());
        BOOST_TEST(*moved_here.get() == 5);
        int target = 1;
        weft::promise<int&> reference;
        auto reference_here = reference.get_future();
        reference.set_value(target);
        BOOST_TEST(&reference_here.get() == &target);
        weft::promise<> nothing;
        auto nothing_here = nothing.get_future();
        nothing.set_value();
        BOOST_TEST(nothing_here.ready());
        nothing_here.get();
        weft::promise<std::string> failing;
        auto failing_here = failing.get_future();
        failing.set_exception(std::make_exception_ptr(std::out_of_range("x")));
        BOOST_CHECK_THROW(failing_here.get(), std::out_of_range);
        weft::promise<std::string> looked_at;
        auto looked_at_here = looked_at.get_future();
        looked_at.set_value(3U, 'x');
        BOOST_TEST(looked_at_here.try_get().value() == "xxx");
    });
}

BOOST_AUTO_TEST_CASE(errors_are_the_standards) {
    using std::future_errc;
    weft::promise<int> promise;
    auto future = promise.get_future();
    BOOST_CHECK_EXCEPTION(promise.get_future(), std::future_error,
                          says(future_errc::future_already_retrieved));
    promise.set_value(1);
    BOOST_CHECK_EXCEPTION(promise.set_value(2), std::future_error,
                          says(future_errc::promise_already_satisfied));
    BOOST_CHECK_EXCEPTION(promise.set_exception(std::make_exception_ptr(1)), std::future_error,
                          says(future_errc::promise_already_satisfied));
    auto moved = std::move(promise);
    // NOLINTBEGIN(bugprone-use-after-move): that is what it is about
    BOOST_CHECK_EXCEPTION(promise.set_value(3), std::future_error, says(future_errc::no_state));
    BOOST_CHECK_EXCEPTION(promise.get_future(), std::future_error, says(future_errc::no_state));
    // NOLINTEND(bugprone-use-after-move)
    BOOST_TEST(future.valid());
    BOOST_TEST(future.get() == 1);
    BOOST_TEST(!future.valid());
    BOOST_CHECK_EXCEPTION(future.get(), std::future_error, says(future_errc::no_state));
    BOOST_CHECK_EXCEPTION(future.wait(), std::future_error, says(future_errc::no_state));
    BOOST_CHECK_EXCEPTION(static_cast<void>(future.ready()), std::future_error, says(future_errc::no_state));
    BOOST_TEST(!weft::future<int>().valid());
}

BOOST_AUTO_TEST_CASE(a_promise_that_is_not_kept_is_told) {
    weft::run([] {
        std::optional<weft::promise<int>> promise(std::in_place);
        auto future = promise->get_future();
        auto waiter = weft::spawn([&] { return future.get(); });
        weft::this_fiber::yield();
        promise.reset();
        BOOST_CHECK_EXCEPTION(waiter.get(), std::future_error, says(std::future_errc::broken_promise));
        // Also one that another takes the place of; but not one that was moved.
        weft::promise<int> first;
        auto of_first = first.get_future();
        weft::promise<int> second;
        auto of_second = second.get_future();
        first = std::move(second);
        BOOST_CHECK_EXCEPTION(of_first.get(), std::future_error, says(std::future_errc::broken_promise));
        BOOST_TEST(!of_second.ready());
        first.set_value(2);
        BOOST_TEST(of_second.get() == 2);
    });
}

BOOST_AUTO_TEST_CASE(a_value_that_cannot_be_made_breaks_nothing) {
    struct picky {
        explicit picky(int number) {
            if (number < 0)
                throw std::invalid_argument("x");
        }
    };
    weft::promise<picky> promise;
    auto future = promise.get_future();
    BOOST_CHECK_THROW(promise.set_value(-1), std::invalid_argument);
    BOOST_TEST(!future.ready());
    promise.set_value(1);
    static_cast<void>(future.get());
}

BOOST_AUTO_TEST_CASE(timed_and_cancelled_waits_leave_the_future_as_it_was) {
    weft::testing::virtual_clock const clock;
    weft::run([&] {
        weft::promise<int> promise;
        auto future = promise.get_future();
        BOOST_TEST(!future.wait_for(1ms));
        BOOST_TEST((clock.elapsed() == 1ms));
        auto waiter = weft::spawn([&] { return future.get(); });
        weft::this_fiber::yield();
        waiter.cancel();
        BOOST_CHECK_THROW(waiter.get(), weft::fiber_cancelled);
        BOOST_TEST(future.valid());
        auto giver = weft::spawn([&] {
            weft::this_fiber::sleep_for(1ms);
            promise.set_value(7);
        });
        BOOST_TEST(future.wait_for(2ms));
        BOOST_TEST((clock.elapsed() == 2ms));
        BOOST_TEST(future.get() == 7);
    });
}

BOOST_AUTO_TEST_CASE(plain_threads_give_and_take) {
    weft::promise<int> to_thread;
    weft::promise<int> to_fiber;
    auto at_thread = to_thread.get_future();
    auto at_fiber = to_fiber.get_future();
    std::thread thread([&] { to_fiber.set_value(at_thread.get() + 1); });
    weft::run([&] {
        BOOST_TEST(!at_fiber.wait_for(1ms));
        to_thread.set_value(1);
        BOOST_TEST(at_fiber.get() == 2);
    });
    thread.join();
}

BOOST_AUTO_TEST_CASE(holds_in_every_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        constexpr unsigned pairs = 3;
        std::vector<weft::promise<std::unique_ptr<unsigned>>> promises(pairs);
        std::vector<weft::future<std::unique_ptr<unsigned>>> futures;
        for (auto& each : promises)
            futures.push_back(each.get_future());
        std::vector<bool> kept(pairs);
        std::vector<bool> got(pairs);
        chance.run(2 * pairs, [&](unsigned which) {
            unsigned const number = which / 2;
            if (which % 2 == 0) {
                auto promise = std::move(promises[number]);
                chance.pause();
                if (chance.one_in(4))
                    return;
                kept[number] = true;
                promise.set_value(std::make_unique<unsigned>(number));
                return;
            }
            auto& future = futures[number];
            auto const deadline = chance.soon();
            if (chance.one_in(2) && !future.wait_until(deadline))
                require(weft::clock::now() >= deadline, "gave up before the deadline");
            try {
                auto const value = future.get();
                require(kept[number] && value && *value == number, "another value");
                got[number] = true;
            } catch (std::future_error const& error) {
                require(!kept[number] && error.code() == std::future_errc::broken_promise, "another error");
            }
        });
        for (unsigned i = 0; i < pairs; ++i)
            if (!got[i] && kept[i])
                require(*futures[i].get() == i, "the value is not there any more");
    });
}

BOOST_AUTO_TEST_CASE(holds_between_workers_and_threads) {
    constexpr unsigned rounds = support::sanitized ? 100 : 500;
    constexpr unsigned count = 4 * support::workers_everywhere + support::threads_everywhere;
    // Each one waits for what the one before it in a circle gives.
    std::vector<weft::promise<unsigned>> promises(std::size_t{rounds} * count);
    std::vector<weft::future<unsigned>> futures;
    for (auto& each : promises)
        futures.push_back(each.get_future());
    std::atomic<unsigned> next = 0;
    support::everywhere(4, [&](weft::testing::random& draw) {
        unsigned const mine = next++;
        for (unsigned i = 0; i < rounds; ++i) {
            promises[i * count + mine].set_value(i);
            auto& future = futures[i * count + (mine + 1) % count];
            support::maybe_cancelled(draw, [&] {
                if (draw.below(2) == 0)
                    static_cast<void>(future.wait_for(std::chrono::microseconds(draw.below(30))));
                else
                    future.wait();
            });
            require(future.get() == i, "another value");
        }
    });
}

// Promise and future are the waiter's, who goes as soon as it has the value.
BOOST_AUTO_TEST_CASE(may_end_as_soon_as_the_value_is_there) {
    struct both {
        weft::promise<int> promise;
        weft::future<int> future = promise.get_future();
    };
    support::short_lived([] { return std::make_unique<both>(); }, [](both& one) { one.future.get(); },
                         [](both& one) { one.promise.set_value(1); });
}

BOOST_AUTO_TEST_CASE(a_value_that_cannot_be_moved_leaves_the_promise_open) {
    struct picky {
        explicit picky(int& left_) : left(left_) {}
        picky(picky const& other) : left(other.left) {
            if (--left == 0)
                throw std::runtime_error("x");
        }
        picky& operator=(picky const&) = delete;
        ~picky() = default;
        int& left; // copies until one fails
    };
    bool failed = true;
    for (int which = 1; failed; ++which) {
        int left = which;
        weft::promise<picky> promise;
        auto future = promise.get_future();
        failed = false;
        try {
            promise.set_value(picky(left));
        } catch (std::runtime_error const&) {
            failed = true;
            BOOST_TEST(!future.ready());
            promise.set_value(picky(left));
        }
        BOOST_TEST(future.ready());
    }
}
