// A dead end explains itself: who waits for what, and the circle; and what isn't certain is left alone.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <mutex>
#include <string>
#include <thread>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/channel.hpp>
#include <weft/fiber.hpp>
#include <weft/mutex.hpp>
#include <weft/offload.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/task_group.hpp>
#include <weft/testing/virtual_clock.hpp>
#include <weft/this_fiber.hpp>

#include "support/child.hpp"
#include "support/options.hpp"

namespace {

using namespace std::chrono_literals;

template <class Main> std::string report_of(Main main, std::size_t workers = 1) {
    try {
        weft::run(main, support::with_workers(workers));
    } catch (weft::dead_end const& end) {
        return end.what();
    }
    return "";
}

bool has(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }

} // namespace

BOOST_AUTO_TEST_CASE(two_mutexes_in_a_circle) {
    weft::mutex accounts("accounts");
    weft::mutex log("log");
    auto const circle = [&] {
        auto const take = [](weft::mutex& first, weft::mutex& second) {
            return [&first, &second] {
                std::scoped_lock const one(first);
                weft::this_fiber::yield();
                std::scoped_lock const two(second);
            };
        };
        auto transfer = weft::spawn({.name = "transfer", .stack_size = 0}, take(accounts, log));
        auto audit = weft::spawn({.name = "audit", .stack_size = 0}, take(log, accounts));
        transfer.join();
        audit.join();
    };
    std::string const report = report_of(circle);
    BOOST_TEST(has(report, "no fiber can ever run again"), report);
    BOOST_TEST(has(report, "\"main\" (fiber "), report);
    BOOST_TEST(has(report, "waits for the end of \"transfer\" (fiber "), report);
    BOOST_TEST(has(report, "spawned at "), report);
    BOOST_TEST(has(report, "dead_end_test.cpp:"), report);
    auto const circle_at = report.find("in a circle:");
    BOOST_REQUIRE(circle_at != std::string::npos);
    std::string const lines = report.substr(circle_at);
    BOOST_TEST(has(lines, "\"transfer\" waits for mutex \"log\", held by \"audit\""), report);
    BOOST_TEST(has(lines, "\"audit\" waits for mutex \"accounts\", held by \"transfer\""), report);
    BOOST_TEST(!has(lines, "\"main\""), report);
}

BOOST_AUTO_TEST_CASE(a_wait_that_nobody_ends) {
    BOOST_TEST(has(report_of([] {
                       weft::semaphore nothing(0, "nothing");
                       nothing.acquire();
                   }),
                   "waits for semaphore \"nothing\""));
    BOOST_TEST(has(report_of([] {
                       weft::channel<int> empty(1, "jobs");
                       weft::spawn([&] { static_cast<void>(empty.receive()); }).join();
                   }),
                   "waits for channel receive on channel \"jobs\""));
    BOOST_TEST(has(report_of([] {
                       weft::with_task_group([](weft::task_group& group) {
                           group.spawn([] {
                               weft::mutex mutex;
                               std::scoped_lock const held(mutex);
                               weft::spawn([&] { std::scoped_lock const never_had(mutex); }).join();
                           });
                       });
                   }),
                   "waits for end of a task group"));
}

BOOST_AUTO_TEST_CASE(across_workers) {
    std::string const report = report_of(
        [] {
            weft::semaphore here(0, "here");
            weft::semaphore there(0, "there");
            weft::semaphore done(0);
            weft::post(1, [&] {
                try {
                    there.acquire();
                } catch (weft::cancelled const&) {
                }
                done.release();
            });
            try {
                here.acquire();
            } catch (weft::cancelled const&) {
            }
            weft::cancel_scope cleanup;
            cleanup.shield();
            done.acquire();
        },
        3);
    BOOST_TEST(has(report, "\"here\""), report);
    BOOST_TEST(has(report, "\"there\""), report);
}

BOOST_AUTO_TEST_CASE(at_once_on_a_virtual_clock) {
    weft::testing::virtual_clock const clock;
    for (std::size_t const workers : {1U, 2U}) {
        auto const begin = std::chrono::steady_clock::now();
        BOOST_TEST(has(report_of(
                           [] {
                               weft::semaphore nothing(0, "nothing");
                               weft::this_fiber::sleep_for(1h);
                               nothing.acquire();
                           },
                           workers),
                       "\"nothing\""));
        BOOST_TEST((std::chrono::steady_clock::now() - begin < 30s));
    }
}

// Somebody who may act for them is no dead end.
BOOST_AUTO_TEST_CASE(not_while_others_may_help) {
    weft::run([] {
        weft::semaphore from_thread(0);
        std::thread thread([&] {
            std::this_thread::sleep_for(400ms); // longer than suspicion lasts
            from_thread.release();
        });
        from_thread.acquire();
        thread.join();
        weft::semaphore from_fiber(0);
        auto late = weft::spawn([&] {
            weft::this_fiber::sleep_for(200ms);
            from_fiber.release();
        });
        from_fiber.acquire();
    });
}

BOOST_AUTO_TEST_CASE(what_cannot_be_cancelled_ends_the_process_with_the_report) {
    auto const result = support::in_child([] {
        return weft::run([] {
            weft::semaphore nothing(0, "nothing");
            weft::cancel_scope shielded;
            shielded.shield();
            nothing.acquire();
            return 0;
        });
    });
    BOOST_TEST(result.killed_by(SIGABRT));
    BOOST_TEST(has(result.errors, "waits for semaphore \"nothing\""), result.errors);
    BOOST_TEST(has(result.errors, "not all could be"), result.errors);
}

BOOST_AUTO_TEST_CASE(not_if_it_is_switched_off) {
    weft::semaphore from_handler(0);
    weft::run_options options;
    options.find_dead_ends = false;
    weft::run(
        [&] {
            auto waiting = weft::spawn([&] { from_handler.acquire(); });
            std::thread([&, home = weft::this_worker()] {
                std::this_thread::sleep_for(200ms); // longer than the first suspicion
                weft::post(home, [&] { from_handler.release(); });
            }).detach();
            waiting.join();
        },
        options);
}

// Threads that help, and the calls that they make, are the parent's.
BOOST_AUTO_TEST_CASE(found_in_the_child_of_a_fork) {
    weft::run([] {
        weft::semaphore begun(0);
        weft::semaphore never(0, "never");
        std::atomic<bool> go = false;
        auto call = weft::spawn([&] {
            weft::offload([&] {
                begun.release();
                go.wait(false);
            });
        });
        begun.acquire();
        auto const child = support::in_child([&] {
            try {
                never.acquire();
            } catch (weft::cancelled const& end) {
                return has(end.reason(), "dead end") ? 0 : 1;
            }
            return 2;
        });
        BOOST_TEST(child.exited(0));
        go = true;
        go.notify_one();
        call.join();
    });
}
