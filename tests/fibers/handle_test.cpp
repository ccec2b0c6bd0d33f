// What the handle of a fiber can do beside waiting for the result: stop, cancel, callbacks, and what is known of the fiber.
#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/task_group.hpp>
#include <weft/this_fiber.hpp>

#include "support/memory.hpp"
#include "support/messages.hpp"
#include "support/options.hpp"

namespace {

using namespace std::chrono_literals;
using support::says;

constexpr auto long_time = 100s;

} // namespace

BOOST_AUTO_TEST_CASE(try_get_tells_without_throwing) {
    weft::run([] {
        weft::result<int> fine = weft::spawn([] { return 42; }).try_get();
        BOOST_TEST(fine.has_value());
        BOOST_TEST(*fine == 42);
        BOOST_TEST(!fine.error());
        auto failed = weft::spawn([]() -> int { throw std::out_of_range("far"); }).try_get();
        BOOST_TEST(!failed);
        BOOST_TEST(failed.value_or(7) == 7);
        BOOST_CHECK_THROW(failed.value(), std::out_of_range);
        BOOST_CHECK_THROW(std::rethrow_exception(failed.error()), std::out_of_range);
        weft::result<> const nothing = weft::spawn([] {}).try_get();
        BOOST_TEST(nothing.has_value());
        int target = 0;
        weft::spawn([&]() -> int& { return target; }).try_get().value() = 5;
        BOOST_TEST(target == 5);
    });
}

BOOST_AUTO_TEST_CASE(a_result_is_there_once) {
    weft::run([] {
        auto handle = weft::spawn([] { return 1; });
        auto const id = handle.id();
        handle.get();
        auto const again = says("the result of fiber " + std::to_string(id) + " was taken before");
        BOOST_CHECK_EXCEPTION(handle.get(), std::logic_error, again);
        BOOST_CHECK_EXCEPTION(handle.join(), std::logic_error, again);
        auto const none = says("refers to no fiber");
        weft::fiber<> empty;
        BOOST_CHECK_EXCEPTION(empty.get(), std::logic_error, none);
        BOOST_CHECK_EXCEPTION(empty.detach(), std::logic_error, none);
        BOOST_CHECK_EXCEPTION(empty.cancel(), std::logic_error, none);
    });
}

BOOST_AUTO_TEST_CASE(stop_is_asked_for_by_the_destructor_too) {
    weft::run([] {
        bool stopped = false;
        {
            auto polite = weft::spawn([&](std::stop_token const& stop) {
                while (!stop.stop_requested())
                    weft::this_fiber::sleep_for(1ms);
                stopped = true;
            });
        }
        BOOST_TEST(stopped);

        int calls = 0;
        auto other = weft::spawn([&] {
            BOOST_TEST(weft::this_fiber::stop_requested()); // asked for before it began
            std::stop_callback const callback(weft::this_fiber::get_stop_token(), [&] { ++calls; });
        });
        BOOST_TEST(other.request_stop());
        BOOST_TEST(!other.request_stop());
        other.join();
        BOOST_TEST(calls == 1);
    });
    BOOST_TEST(!weft::this_fiber::get_stop_token().stop_possible());
}

BOOST_AUTO_TEST_CASE(a_stop_is_not_inherited_by_the_next_life) {
    weft::run([] {
        auto const run_one = [](bool stop) {
            auto one = weft::spawn([] { return weft::this_fiber::stop_requested(); });
            if (stop)
                one.request_stop();
            return one.get();
        };
        BOOST_TEST(run_one(true));
        BOOST_TEST(!run_one(false));
    });
}

BOOST_AUTO_TEST_CASE(cancel_ends_waits_now_and_later) {
    weft::run([] {
        weft::semaphore nothing(0);
        std::string reason;
        auto waiting = weft::spawn({.name = "waiting", .stack_size = 0}, [&] {
            try {
                nothing.acquire();
            } catch (weft::cancelled const& cancelled) {
                reason = cancelled.reason();
            }
            nothing.acquire(); // level-triggered
        });
        weft::this_fiber::yield();
        waiting.cancel("enough");
        waiting.cancel("more than enough");
        BOOST_CHECK_EXCEPTION(waiting.get(), weft::fiber_cancelled,
                              says("fiber \"waiting\" was cancelled: enough"));
        BOOST_TEST(reason == "enough");

        auto early = weft::spawn([&] { nothing.acquire(); }); // cancelled before it runs
        early.cancel();
        BOOST_CHECK_THROW(early.get(), weft::fiber_cancelled);

        auto ended = weft::spawn([] { return 3; });
        ended.join();
        ended.cancel();
        BOOST_TEST(ended.get() == 3);
    });
}

BOOST_AUTO_TEST_CASE(cancel_reaches_through_scopes_but_not_shields) {
    weft::run([] {
        std::vector<int> order;
        auto nested = weft::spawn([&] {
            weft::cancel_scope outer(long_time);
            weft::cancel_scope inner(long_time);
            try {
                weft::this_fiber::sleep_for(long_time);
            } catch (weft::cancelled const&) {
                order.push_back(1);
                BOOST_TEST(!inner.cancel_called());
                weft::cancel_scope cleanup;
                cleanup.shield();
                weft::this_fiber::sleep_for(1ms);
                order.push_back(2);
                throw;
            }
        });
        weft::this_fiber::yield();
        nested.cancel();
        nested.join();
        BOOST_TEST(order == (std::vector<int>{1, 2}), boost::test_tools::per_element());
    });
}

BOOST_AUTO_TEST_CASE(cancel_from_other_workers_and_threads) {
    weft::run(
        [] {
            weft::semaphore nothing(0);
            for (int i = 0; i < 200; ++i) {
                auto waiting = weft::spawn([&] { nothing.acquire(); });
                if (i % 2 == 0)
                    weft::this_fiber::yield();
                weft::semaphore cancelled(0);
                weft::post(1, [&] {
                    waiting.cancel();
                    cancelled.release();
                });
                cancelled.acquire();
                BOOST_CHECK_THROW(waiting.get(), weft::fiber_cancelled);
            }
            auto waiting = weft::spawn([&] { nothing.acquire(); });
            std::thread thread([&] { waiting.cancel(); });
            BOOST_CHECK_THROW(waiting.get(), weft::fiber_cancelled);
            thread.join();
        },
        support::with_workers(2));
}

// Otherwise a fiber that is cancelled would wait in the destructor for one that isn't.
BOOST_AUTO_TEST_CASE(a_cancelled_fiber_cancels_whom_its_handles_join) {
    weft::run([] {
        bool inner_cancelled = false;
        auto outer = weft::spawn([&] {
            auto inner = weft::spawn([&] {
                try {
                    weft::this_fiber::sleep_for(long_time);
                } catch (weft::cancelled const&) {
                    inner_cancelled = true;
                }
            });
            weft::this_fiber::sleep_for(long_time);
        });
        weft::this_fiber::yield();
        weft::this_fiber::yield();
        outer.cancel();
        outer.join();
        BOOST_TEST(inner_cancelled);
    });
}

BOOST_AUTO_TEST_CASE(join_for_a_while) {
    weft::run([] {
        weft::semaphore go(0);
        auto target = weft::spawn([&] { go.acquire(); });
        BOOST_TEST(!target.join_for(1ms));
        BOOST_TEST(!target.done());
        go.release();
        BOOST_TEST(target.join_for(long_time));
        BOOST_TEST(target.done());
        BOOST_TEST(target.join_for(0ms));
    });
}

BOOST_AUTO_TEST_CASE(callbacks_run_in_order_when_it_has_ended) {
    std::vector<std::string> unhandled;
    weft::run_options options;
    options.on_unhandled = [&](std::string_view name, std::exception_ptr const&) {
        unhandled.emplace_back(name);
    };
    weft::run(
        [] {
            std::vector<int> order;
            weft::semaphore all_called(0);
            auto target = weft::spawn({.name = "target", .stack_size = 0}, [&]() -> int {
                order.push_back(0);
                throw std::runtime_error("x");
            });
            target.on_done([&] { order.push_back(1); });
            target.on_done([&](std::exception_ptr const& failure) { order.push_back(failure ? 2 : -2); });
            target.on_done([] { throw std::runtime_error("from a callback"); });
            target.on_done([&] {
                BOOST_TEST(weft::this_fiber::name() == "target");
                weft::this_fiber::sleep_for(1ms); // it may even wait
                order.push_back(3);
                all_called.release();
            });
            target.join();
            all_called.acquire();
            target.on_done([&](std::exception_ptr const& failure) { order.push_back(failure ? 4 : -4); });
            BOOST_TEST(order == (std::vector<int>{0, 1, 2, 3, 4}), boost::test_tools::per_element());
            BOOST_CHECK_THROW(target.get(), std::runtime_error);
        },
        options);
    BOOST_TEST(unhandled == std::vector<std::string>{"target"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(where_a_fiber_comes_from) {
    weft::run([] {
        auto const line = weft::source_location::current().line() + 1;
        auto child = weft::spawn([] { return weft::this_fiber::id(); });
        BOOST_TEST(child.spawn_site().line() == line);
        BOOST_TEST(std::string(child.spawn_site().file_name()).find("handle_test.cpp") != std::string::npos);
        BOOST_TEST(child.parent_id() == weft::this_fiber::id());
        auto named = weft::spawn({.name = "named", .stack_size = 0}, [] {});
        BOOST_TEST(named.spawn_site().line() == line + 4);
    });
}

// A fiber that has ended is kept for the next spawn; what its life left behind must not show.
BOOST_AUTO_TEST_CASE(lives_on_one_stack_are_apart) {
    weft::run([] {
        auto const first = weft::spawn([] {
                               weft::this_fiber::set_name("first");
                               errno = 77;
                           }).try_get();
        auto second = weft::spawn([] {
            BOOST_TEST(errno == 0);
            BOOST_TEST(weft::this_fiber::name().substr(0, 6) == "fiber ");
            BOOST_TEST(std::uncaught_exceptions() == 0);
        });
        second.join();
        // The one whose handle is still there must not be given to another.
        std::vector<weft::fiber<int>> all;
        for (int i = 0; i < 1000; ++i)
            all.push_back(weft::spawn([i] { return i; }));
        for (auto& each : all)
            each.join();
        int sum = 0;
        for (int i = 0; i < 1000; ++i)
            sum += weft::spawn([] { return 1; }).get();
        for (auto& each : all)
            sum += each.get();
        BOOST_TEST(sum == 1000 + 999 * 500);
    });
}

// Handles end on other threads, also when the worker does.
BOOST_AUTO_TEST_CASE(handles_dropped_elsewhere) {
    for (int round = 0; round < 50; ++round) {
        std::vector<std::optional<weft::fiber<std::string>>> handles(20);
        std::thread thread;
        weft::run([&] {
            for (auto& each : handles)
                each = weft::spawn([] { return std::string(100, 'x'); });
            thread = std::thread([&] {
                for (auto& each : handles)
                    BOOST_TEST(each->get().size() == 100);
            });
            for (int i = 0; i < 20; ++i)
                weft::this_fiber::yield();
        });
        thread.join();
    }
}

BOOST_AUTO_TEST_CASE(bursts_leave_little_memory_behind) {
    weft::run([] {
        auto const before = support::resident_bytes();
        for (int round = 0; round < 3; ++round) {
            weft::semaphore end(0);
            std::vector<weft::fiber<>> all;
            for (int i = 0; i < 5000; ++i)
                all.push_back(weft::spawn([&] { end.acquire(); }));
            weft::this_fiber::yield();
            end.release(5000);
            for (auto& each : all)
                each.join();
            all.clear();
        }
        if (support::sanitized)
            return;
        auto const deadline = weft::clock::now() + 30s;
        constexpr std::size_t kept = std::size_t{3} << 20;
        while (support::resident_bytes() > before + kept && weft::clock::now() < deadline)
            weft::this_fiber::sleep_for(10ms);
        BOOST_TEST(support::resident_bytes() < before + kept);
    });
}

BOOST_AUTO_TEST_CASE(callbacks_may_do_what_fibers_do) {
    weft::run([] {
        weft::semaphore done(0);
        weft::semaphore permits(0);
        auto const use_everything = [&] {
            int inside = 0;
            weft::with_task_group([&](weft::task_group& group) { group.spawn([&] { ++inside; }); });
            BOOST_TEST(inside == 1);
            weft::semaphore own(0);
            auto release = weft::spawn([&] { own.release(); });
            BOOST_TEST(own.try_acquire_for(1h)); // whose timer must not outlive the fiber
            release.join();
            done.release();
        };
        for (int i = 0; i < 50; ++i) {
            weft::task_group group;
            group.spawn({.name = {}, .stack_size = 64 * 1024}, [] {}).on_done(use_everything);
            weft::spawn({.name = {}, .stack_size = 64 * 1024}, [] {}).on_done(use_everything);
            done.acquire();
            done.acquire();
            group.wait();
        }
        // A later fiber on the same stack belongs to no former scope.
        BOOST_TEST(!weft::spawn([] { return weft::this_fiber::is_cancelled(); }).get());
    });
}

BOOST_AUTO_TEST_CASE(callbacks_know_the_failure_that_get_has_taken) {
    weft::run([] {
        weft::semaphore taken(0);
        weft::semaphore called(0);
        auto failing = weft::spawn([]() -> int { throw std::out_of_range("far"); });
        failing.on_done([&] { taken.acquire(); });
        bool known = false;
        failing.on_done([&](std::exception_ptr const& failure) {
            known = failure != nullptr;
            called.release();
        });
        BOOST_CHECK_THROW(failing.get(), std::out_of_range);
        taken.release();
        called.acquire();
        BOOST_TEST(known);
    });
}

BOOST_AUTO_TEST_CASE(what_a_function_captures_may_be_larger_than_a_stack) {
    weft::run([] {
        std::array<char, std::size_t{300} * 1024> large{};
        large.back() = 'x';
        auto reader = weft::spawn([large] { return large.back(); });
        auto other = weft::spawn([] { return 7; });
        BOOST_TEST(reader.get() == 'x');
        BOOST_TEST(other.get() == 7);
    });
}
