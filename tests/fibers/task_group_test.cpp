// task_group: nothing outlives it, failures end it, cancellation reaches into it.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
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
#include "support/sleeper.hpp"

namespace {

using namespace std::chrono_literals;
using support::says;
using support::sleeper;

constexpr auto long_time = 100s;

} // namespace

BOOST_AUTO_TEST_CASE(the_block_ends_after_its_fibers) {
    weft::run([] {
        int ended = 0;
        weft::with_task_group([&](weft::task_group& group) {
            for (int i = 0; i < 3; ++i)
                group.spawn([&] {
                    weft::this_fiber::sleep_for(1ms);
                    group.spawn([&] { ++ended; }); // a child may spawn, too
                    ++ended;
                });
            BOOST_TEST(group.size() == 3);
        });
        BOOST_TEST(ended == 6);
        {
            weft::task_group group;
            group.spawn([&] {
                weft::this_fiber::yield();
                ++ended;
            });
        }
        BOOST_TEST(ended == 7);
        weft::with_task_group([](weft::task_group&) {});
    });
}

BOOST_AUTO_TEST_CASE(results_are_there_for_who_keeps_the_task) {
    weft::run([] {
        weft::task_group group;
        auto kept = group.spawn([] { return std::string("kept"); });
        auto looked_at = group.spawn({.name = "looked at", .stack_size = 0}, [] { return 5; });
        group.spawn([] { return std::string("let go of"); });
        BOOST_TEST(looked_at.name() == "looked at");
        BOOST_TEST(looked_at.get() == 5);
        group.wait();
        BOOST_TEST(kept.done());
        BOOST_TEST(kept.try_get().value() == "kept");
        BOOST_CHECK_THROW(kept.get(), std::logic_error);
        group.spawn([] {}); // wait() is no end
        group.wait();
    });
}

BOOST_AUTO_TEST_CASE(the_first_failure_cancels_the_siblings) {
    weft::run([] {
        int cancelled = 0;
        bool told = false;
        try {
            weft::with_task_group([&](weft::task_group& group) {
                group.spawn(sleeper(cancelled));
                group.spawn({.name = "unlucky", .stack_size = 0}, [] {
                    weft::this_fiber::sleep_for(1ms);
                    throw std::out_of_range("far");
                });
                group.spawn([&] {
                    try {
                        weft::this_fiber::sleep_for(long_time);
                    } catch (weft::cancelled const& by) {
                        BOOST_TEST(by.reason().find("\"unlucky\" of the same task group failed: far") == 0);
                        throw std::runtime_error("while cleaning up");
                    }
                });
                sleeper(cancelled)(); // the body, too
            });
        } catch (weft::exception_group const& group) {
            told = true;
            BOOST_REQUIRE(group.failures().size() == 2);
            BOOST_TEST(group.failures()[0].fiber == "unlucky");
            BOOST_TEST(group.find<std::out_of_range>() != nullptr);
            BOOST_TEST(group.find<std::runtime_error>()->what() == "while cleaning up");
            BOOST_TEST(group.find<std::bad_alloc>() == nullptr);
            BOOST_TEST(says("2 fibers of a task group failed:")(group));
            BOOST_TEST(says("\"unlucky\": far")(group));
        }
        BOOST_TEST(told);
        BOOST_TEST(cancelled == 2);
    });
}

BOOST_AUTO_TEST_CASE(what_leaves_the_body_is_a_failure_of_the_group) {
    weft::run([] {
        int cancelled = 0;
        BOOST_CHECK_EXCEPTION(weft::with_task_group([&](weft::task_group& group) {
                                  group.spawn(sleeper(cancelled));
                                  weft::this_fiber::yield();
                                  throw std::runtime_error("body");
                              }),
                              weft::exception_group, says("\"main\": body"));
        BOOST_TEST(cancelled == 1);
        // The object alone: the exception goes on, the children are cancelled.
        try {
            weft::task_group group;
            group.spawn(sleeper(cancelled));
            weft::this_fiber::yield();
            throw std::runtime_error("body");
        } catch (std::runtime_error const&) {
            ++cancelled;
        }
        BOOST_TEST(cancelled == 3);
    });
}

BOOST_AUTO_TEST_CASE(groups_in_groups) {
    weft::run([] {
        try {
            weft::with_task_group([](weft::task_group& outer) {
                outer.spawn([] {
                    weft::with_task_group([](weft::task_group& inner) {
                        inner.spawn([] { throw std::out_of_range("deep"); });
                    });
                });
            });
            BOOST_TEST(false);
        } catch (weft::exception_group const& group) {
            BOOST_REQUIRE(group.find<std::out_of_range>() != nullptr);
            BOOST_TEST(group.find<std::out_of_range>()->what() == "deep");
        }
    });
}

BOOST_AUTO_TEST_CASE(the_collect_policy_lets_the_others_go_on) {
    weft::run([] {
        int finished = 0;
        weft::task_group group(weft::failure_policy::collect);
        for (int i = 0; i < 3; ++i) {
            group.spawn([] { throw std::runtime_error("x"); });
            group.spawn([&] {
                weft::this_fiber::sleep_for(1ms);
                ++finished;
            });
        }
        BOOST_CHECK_EXCEPTION(group.wait(), weft::exception_group,
                              [](auto const& e) { return e.failures().size() == 3; });
        BOOST_TEST(finished == 3);
        group.wait(); // told once
    });
}

BOOST_AUTO_TEST_CASE(failures_that_wait_does_not_throw_are_reported) {
    std::vector<std::string> reported;
    weft::run_options options;
    options.on_unhandled = [&](std::string_view name, std::exception_ptr const&) {
        reported.emplace_back(name);
    };
    weft::run(
        [] {
            weft::with_task_group(weft::failure_policy::report, [](weft::task_group& group) {
                group.spawn({.name = "as it happens", .stack_size = 0}, [] { throw 1; });
                group.spawn([] { weft::this_fiber::sleep_for(1ms); });
            });
            weft::task_group group;
            group.spawn({.name = "at the end", .stack_size = 0}, [] { throw 2; });
        },
        options);
    BOOST_TEST(reported == (std::vector<std::string>{"as it happens", "at the end"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(cancel_ends_all_without_failure) {
    weft::run([] {
        int cancelled = 0;
        weft::with_task_group([&](weft::task_group& group) {
            group.spawn(sleeper(cancelled));
            group.spawn([&] { group.cancel(); });
            sleeper(cancelled)();
        });
        BOOST_TEST(cancelled == 2);
        weft::task_group group;
        group.cancel();
        group.spawn(sleeper(cancelled)); // into a cancelled group: its waits end at once
        group.wait();
        BOOST_TEST(cancelled == 3);
    });
}

BOOST_AUTO_TEST_CASE(cancellation_from_outside_reaches_in) {
    weft::run([] {
        int cancelled = 0;
        // By a scope around it, ...
        BOOST_TEST(!weft::move_on_after(1ms, [&] {
            weft::with_task_group([&](weft::task_group& group) {
                group.spawn(sleeper(cancelled));
                sleeper(cancelled)();
            });
        }));
        BOOST_TEST(cancelled == 2);
        // ... in wait(), ...
        BOOST_TEST(!weft::move_on_after(1ms, [&] {
            weft::task_group group;
            group.spawn(sleeper(cancelled));
            group.wait();
        }));
        BOOST_TEST(cancelled == 3);
        // ... and by the fiber's handle.
        auto owner = weft::spawn([&] {
            weft::with_task_group([&](weft::task_group& group) {
                group.spawn(sleeper(cancelled));
                group.spawn(sleeper(cancelled));
            });
        });
        weft::this_fiber::sleep_for(1ms);
        owner.cancel();
        BOOST_CHECK_THROW(owner.get(), weft::fiber_cancelled);
        BOOST_TEST(cancelled == 5);
        // A scope inside the block ends wait() alone.
        weft::task_group group;
        weft::semaphore go(0);
        group.spawn([&] { go.acquire(); });
        BOOST_TEST(!weft::move_on_after(1ms, [&] { group.wait(); }));
        BOOST_TEST(group.size() == 1);
        go.release();
        group.wait();
    });
}

BOOST_AUTO_TEST_CASE(one_fiber_of_a_group_is_cancelled_alone) {
    weft::run([] {
        int cancelled = 0;
        weft::semaphore go(0);
        weft::task_group group;
        auto one = group.spawn(sleeper(cancelled));
        group.spawn([&] { go.acquire(); });
        weft::this_fiber::yield();
        one.cancel();
        BOOST_CHECK_THROW(one.get(), weft::fiber_cancelled);
        BOOST_TEST(!group.cancel_called());
        go.release();
        group.wait();
        BOOST_TEST(cancelled == 1);
    });
}

BOOST_AUTO_TEST_CASE(start_waits_until_the_child_is_ready) {
    weft::run([] {
        std::vector<int> order;
        weft::task_group group;
        int const port = group.start<int>([&](weft::readiness<int>& status) {
            weft::this_fiber::yield();
            order.push_back(1);
            status.ready(8080);
            BOOST_CHECK_THROW(status.ready(8081), std::logic_error);
            weft::this_fiber::yield();
            order.push_back(3);
        });
        order.push_back(2);
        BOOST_TEST(port == 8080);
        group.start([](weft::readiness<>& status) { status.ready(); });
        group.wait();
        BOOST_TEST(order == (std::vector<int>{1, 2, 3}), boost::test_tools::per_element());
    });
}

BOOST_AUTO_TEST_CASE(a_start_that_fails_is_the_callers_alone) {
    weft::run([] {
        weft::task_group group;
        BOOST_CHECK_THROW(group.start([](weft::readiness<>&) { throw std::out_of_range("x"); }),
                          std::out_of_range);
        BOOST_CHECK_EXCEPTION(group.start({.name = "silent", .stack_size = 0}, [](weft::readiness<>&) {}),
                              std::logic_error, says("\"silent\" returned without"));
        int cancelled = 0;
        BOOST_TEST(!weft::move_on_after(
            1ms, [&] { group.start([&](weft::readiness<>&) { sleeper(cancelled)(); }); }));
        BOOST_TEST(cancelled == 1);
        BOOST_TEST(group.size() <= 1);
        group.wait();
        // Afterwards it is one of the group.
        group.start([](weft::readiness<>& status) {
            status.ready();
            throw std::out_of_range("later");
        });
        BOOST_CHECK_THROW(group.wait(), weft::exception_group);
    });
}

BOOST_AUTO_TEST_CASE(an_endless_group_stays_flat) {
    weft::run([] {
        weft::task_group group(weft::failure_policy::report);
        auto const spawn_many = [&] {
            for (int i = 0; i < 20'000; ++i) {
                group.spawn([] { weft::this_fiber::yield(); });
                if (i % 50 == 0)
                    weft::this_fiber::sleep_for(0ms);
            }
        };
        spawn_many();
        auto const before = support::resident_bytes();
        spawn_many();
        spawn_many();
        group.wait();
        if (!support::sanitized)
            BOOST_TEST(support::resident_bytes() < before + 200'000);
    });
}

BOOST_AUTO_TEST_CASE(after_a_fork_the_others_have_ended) {
    weft::run([] {
        weft::semaphore go(0);
        weft::task_group group;
        auto one = group.spawn([&] { go.acquire(); });
        auto alone = weft::spawn([&] { go.acquire(); });
        weft::this_fiber::yield();
        pid_t const child = ::fork();
        if (child == 0) {
            group.wait();
            bool const ended = one.done() && !one.try_get() && !alone.try_get();
            ::_exit(ended ? 0 : 1);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        BOOST_TEST(status == 0);
        go.release(2);
        group.wait();
    });
}

BOOST_AUTO_TEST_CASE(misuse_is_told) {
    BOOST_CHECK_THROW(weft::task_group(), std::logic_error);
    weft::run(
        [] {
            weft::task_group group;
            weft::semaphore told(0);
            weft::post(1, [&] {
                BOOST_CHECK_THROW(group.spawn([] {}), std::logic_error);
                BOOST_CHECK_THROW(group.cancel(), std::logic_error);
                BOOST_CHECK_THROW(group.wait(), std::logic_error);
                told.release();
            });
            told.acquire();
        },
        support::with_workers(2));
}

// pthread_exit(3) ends a fiber by an exception that is nobody's.
BOOST_AUTO_TEST_CASE(a_fiber_may_end_itself_in_a_start_or_in_a_body) {
    weft::run([] {
        weft::task_group group;
        auto const leave = [](weft::readiness<int>&) { throw weft::detail::fiber_exit(); };
        BOOST_CHECK_EXCEPTION(group.start<int>(leave), std::logic_error, says("returned without"));
        int cancelled = 0;
        bool went_on = false;
        weft::spawn([&] {
            weft::with_task_group([&](weft::task_group& inner) {
                inner.spawn(sleeper(cancelled));
                weft::this_fiber::yield();
                throw weft::detail::fiber_exit();
            });
            went_on = true;
        }).join();
        BOOST_TEST(cancelled == 1);
        BOOST_TEST(!went_on);
    });
}
