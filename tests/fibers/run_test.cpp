// weft::run: results, failures, workers, and that it waits for everyone.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>

#include "support/options.hpp"

namespace {

using namespace std::chrono_literals;
using support::with_workers;

// Enough of an engine for a worker that never gets to run anything.
struct deaf_engine final : weft::engine {
    void poll(weft::time_point) noexcept override {}
    void notify() noexcept override {}
    void survive_fork() noexcept override {}
};

} // namespace

BOOST_AUTO_TEST_CASE(returns_what_main_returns) {
    BOOST_TEST(weft::run([] { return 7; }) == 7);
    BOOST_TEST(weft::run([] {}) == 0);
}

BOOST_AUTO_TEST_CASE(rethrows_what_main_throws_after_the_others_have_ended) {
    bool ended = false;
    auto const main = [&] {
        weft::spawn([&] {
            weft::this_fiber::sleep_for(1ms);
            ended = true;
        }).detach();
        throw std::runtime_error("main failed");
    };
    BOOST_CHECK_EXCEPTION(weft::run(main), std::runtime_error,
                          [](auto const& e) { return std::string(e.what()) == "main failed"; });
    BOOST_TEST(ended);
}

BOOST_AUTO_TEST_CASE(waits_for_fibers_that_fibers_spawn) {
    int ended = 0;
    weft::run([&] {
        weft::spawn([&] {
            weft::this_fiber::yield();
            weft::spawn([&] {
                weft::this_fiber::sleep_for(1ms);
                ++ended;
            }).detach();
            ++ended;
        }).detach();
    });
    BOOST_TEST(ended == 2);
}

BOOST_AUTO_TEST_CASE(can_be_called_again_on_the_same_thread) {
    for (int i = 0; i < 100; ++i)
        BOOST_TEST(weft::run([i] { return weft::spawn([i] { return i; }).get(); }) == i);
}

BOOST_AUTO_TEST_CASE(runs_on_several_threads_at_once) {
    std::atomic<int> sum = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&sum] {
            for (int i = 0; i < 50; ++i)
                sum += weft::run([] { return weft::spawn([] { return 1; }).get(); }, with_workers(2));
        });
    for (std::thread& thread : threads)
        thread.join();
    BOOST_TEST(sum == 200);
}

BOOST_AUTO_TEST_CASE(refuses_a_call_on_a_fiber_and_options_out_of_range) {
    weft::run([] { BOOST_CHECK_THROW(weft::run([] {}), std::logic_error); });
    BOOST_CHECK_THROW(weft::run([] {}, with_workers(0)), std::invalid_argument);
    BOOST_CHECK_THROW(weft::run([] {}, with_workers(5000)), std::invalid_argument);
    weft::run_options tiny;
    tiny.stack_size = 100;
    BOOST_CHECK_THROW(weft::run([] {}, tiny), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(posts_to_every_worker_each_a_thread_of_its_own) {
    constexpr std::size_t workers = 4;
    std::mutex mutex;
    std::set<std::thread::id> threads;
    weft::run(
        [&] {
            BOOST_TEST(weft::worker_count() == workers);
            weft::semaphore done(0);
            for (std::size_t i = 0; i < workers; ++i)
                weft::post(i, [&, i] {
                    std::scoped_lock const lock(mutex);
                    threads.insert(std::this_thread::get_id());
                    BOOST_TEST(weft::worker_index() == i);
                    done.release();
                });
            for (std::size_t i = 0; i < workers; ++i)
                done.acquire();
            BOOST_CHECK_THROW(weft::post(workers, [] {}), std::out_of_range);
        },
        with_workers(workers));
    BOOST_TEST(threads.size() == workers);
}

// A chain that goes from worker to worker, with nothing else alive in between: the run must not end early.
BOOST_AUTO_TEST_CASE(waits_for_what_was_posted_and_not_delivered) {
    std::atomic<int> hops = 0;
    struct hop {
        std::atomic<int>& count;
        void operator()() const {
            int const present = ++count;
            if (present < 2000)
                weft::post(static_cast<std::size_t>(present) % 3, *this);
        }
    };
    weft::run([&] { weft::post(1, hop{hops}); }, with_workers(3));
    BOOST_TEST(hops == 2000);
}

BOOST_AUTO_TEST_CASE(tells_of_exceptions_that_nobody_gets) {
    std::vector<std::string> told;
    weft::run_options options;
    options.on_unhandled = [&](std::string_view name, std::exception_ptr const& exception) {
        try {
            std::rethrow_exception(exception);
        } catch (std::exception const& e) {
            told.push_back(std::string(name) + ": " + e.what());
        }
    };
    weft::run(
        [] {
            weft::spawn({.name = "detached", .stack_size = 0}, [] {
                throw std::runtime_error("a");
            }).detach();
            weft::post(0, [] {
                weft::this_fiber::set_name("posted");
                throw std::runtime_error("b");
            });
            {
                auto dropped =
                    weft::spawn({.name = "dropped", .stack_size = 0}, [] { throw std::runtime_error("c"); });
            }
            auto got = weft::spawn([] { throw std::runtime_error("never told"); });
            BOOST_CHECK_THROW(got.get(), std::runtime_error);
        },
        options);
    std::sort(told.begin(), told.end());
    std::vector<std::string> const expected{"detached: a", "dropped: c", "posted: b"};
    BOOST_TEST(told == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(nothing_works_outside) {
    BOOST_CHECK_THROW(weft::spawn([] {}).detach(), std::logic_error);
    BOOST_CHECK_THROW(weft::post(0, [] {}), std::logic_error);
    BOOST_CHECK_THROW(weft::worker_count(), std::logic_error);
    BOOST_TEST(weft::this_fiber::id() == 0U);
    BOOST_TEST(weft::this_fiber::name() == "");
}

BOOST_AUTO_TEST_CASE(an_engine_that_cannot_be_made_fails_the_run_and_leaves_the_thread_usable) {
    weft::run_options options = with_workers(3);
    std::atomic<int> made = 0;
    options.make_engine = [&]() -> std::unique_ptr<weft::engine> {
        if (++made == 2)
            throw std::runtime_error("no engine");
        return std::make_unique<deaf_engine>();
    };
    BOOST_CHECK_THROW(weft::run([] { return 1; }, options), std::runtime_error);
    BOOST_TEST(weft::run([] { return 1; }, with_workers(3)) == 1);
}

BOOST_AUTO_TEST_CASE(daemons_are_cancelled_when_all_others_have_ended) {
    for (std::size_t const workers : {1U, 2U}) {
        std::vector<int> order;
        weft::run(
            [&] {
                weft::spawn({.name = "service", .stack_size = 0, .daemon = true}, [&] {
                    try {
                        weft::this_fiber::sleep_for(100s);
                    } catch (weft::cancelled const&) {
                        order.push_back(2);
                        weft::spawn([&] { // the last words of a service
                            weft::this_fiber::sleep_for(1ms);
                            order.push_back(3);
                        })
                            .detach();
                    }
                }).detach();
                weft::spawn([&] {
                    weft::this_fiber::sleep_for(2ms);
                    order.push_back(1);
                }).detach();
            },
            support::with_workers(workers));
        BOOST_TEST(order == (std::vector<int>{1, 2, 3}), boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(daemons_that_begin_at_the_end_are_cancelled_too) {
    int cancelled = 0;
    auto const serve = [&] {
        try {
            weft::this_fiber::sleep_for(100s);
        } catch (weft::cancelled const&) {
            ++cancelled;
        }
    };
    weft::spawn_options const daemon{.name = "service", .stack_size = 0, .daemon = true};
    weft::run([&] {
        weft::spawn(daemon, [&] {
            serve();
            weft::spawn(daemon, serve).detach(); // by a daemon
            weft::spawn([&] {
                weft::spawn(daemon, serve).detach(); // by a fiber that a daemon spawned
                weft::this_fiber::sleep_for(1ms);
                BOOST_TEST(cancelled == 1 + 1);
            }).detach();
        }).detach();
    });
    BOOST_TEST(cancelled == 3);
}
