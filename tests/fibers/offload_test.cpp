// offload: results from other threads, limits, and what becomes of calls whose caller is cancelled.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/offload.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/task_group.hpp>
#include <weft/this_fiber.hpp>

#include "support/threads.hpp"

namespace {

using namespace std::chrono_literals;

// A gate that calls on other threads stand before.
class gate {
public:
    void open() { promise_.set_value(); }
    auto wait() const {
        return [future = future_] { future.wait(); };
    }

private:
    std::promise<void> promise_;
    std::shared_future<void> future_ = promise_.get_future().share();
};

} // namespace

BOOST_AUTO_TEST_CASE(results_and_exceptions_come_back) {
    weft::run([] {
        auto const here = std::this_thread::get_id();
        BOOST_TEST((weft::offload([] { return std::this_thread::get_id(); }) != here));
        BOOST_TEST(*weft::offload([] { return std::make_unique<int>(7); }) == 7);
        int target = 0;
        weft::offload([&] { target = 5; });
        BOOST_TEST(target == 5);
        weft::offload([&]() -> int& { return target; }) = 6;
        BOOST_TEST(target == 6);
        BOOST_CHECK_THROW(weft::offload([] { throw std::out_of_range("far"); }), std::out_of_range);
    });
    auto const here = std::this_thread::get_id(); // no worker: nothing is held up
    BOOST_TEST((weft::offload([] { return std::this_thread::get_id(); }) == here));
}

BOOST_AUTO_TEST_CASE(others_run_meanwhile) {
    weft::run([] {
        gate go;
        bool ran = false;
        auto waiting = weft::spawn([&] { weft::offload(go.wait()); });
        weft::spawn([&] { ran = true; }).join();
        BOOST_TEST(!waiting.done());
        BOOST_TEST(ran);
        go.open();
        waiting.join();
    });
}

BOOST_AUTO_TEST_CASE(the_caller_is_known_to_the_function) {
    weft::run([] {
        weft::spawn({.name = "caller", .stack_size = 0}, [] {
            weft::cancel_scope const scope(1h);
            auto const [name, deadline] = weft::offload([] {
                return std::pair(std::string(weft::this_fiber::name()), weft::this_fiber::deadline());
            });
            BOOST_TEST(name == "caller");
            BOOST_TEST((deadline == scope.deadline()));
            BOOST_TEST((weft::this_fiber::deadline() == scope.deadline()));
        }).join();
        BOOST_TEST((weft::this_fiber::deadline() == weft::never));
    });
}

BOOST_AUTO_TEST_CASE(threads_and_queue_are_bounded) {
    weft::run([] {
        weft::offload_pool pool({.threads = 2, .queue = 3});
        gate go;
        std::atomic<int> running = 0;
        std::atomic<int> most = 0;
        int begun = 0;
        std::vector<weft::fiber<>> callers;
        for (int i = 0; i < 10; ++i)
            callers.push_back(weft::spawn([&] {
                ++begun;
                pool.offload([&, wait = go.wait()] {
                    int const now = ++running;
                    if (now > most)
                        most = now;
                    wait();
                    --running;
                });
                --begun;
            }));
        while (running < 2)
            weft::this_fiber::yield();
        BOOST_TEST(begun == 10);
        // Five have a place; the others wait for one, where they can be cancelled, and nothing was called.
        BOOST_TEST(!weft::move_on_after(1ms, [&] { pool.offload([&] { most = 100; }); }));
        go.open();
        callers.clear();
        BOOST_TEST(most == 2);
        BOOST_TEST(begun == 0);
    });
    BOOST_CHECK_THROW(weft::offload_pool({.threads = 0}), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(a_call_that_has_not_begun_is_taken_back) {
    weft::run([] {
        weft::offload_pool pool({.threads = 1, .queue = 10});
        gate go;
        auto first = weft::spawn([&] { pool.offload(go.wait()); });
        weft::this_fiber::yield();
        bool called = false;
        auto const token = std::make_shared<int>(1);
        auto queued = weft::spawn([&] { pool.offload([&, token] { called = true; }); });
        auto last = weft::spawn([&] { return pool.offload([] { return 3; }); });
        weft::this_fiber::yield();
        queued.cancel();
        BOOST_CHECK_THROW(queued.get(), weft::fiber_cancelled);
        BOOST_TEST(token.use_count() == 1);
        go.open();
        first.join();
        BOOST_TEST(last.get() == 3);
        BOOST_TEST(!called);
    });
}

BOOST_AUTO_TEST_CASE(a_call_that_has_begun_is_told_and_waited_for) {
    weft::run([] {
        std::atomic<bool> begun = false;
        bool ended = false;
        auto caller = weft::spawn([&] {
            int const result = weft::offload([&](std::stop_token const& stop) {
                begun = true;
                while (!stop.stop_requested())
                    std::this_thread::yield();
                BOOST_TEST(weft::this_fiber::stop_requested());
                return 5;
            });
            ended = result == 5; // it counts; the next wait throws
            weft::this_fiber::sleep_for(1h);
        });
        while (!begun)
            weft::this_fiber::yield();
        caller.cancel();
        BOOST_CHECK_THROW(caller.get(), weft::fiber_cancelled);
        BOOST_TEST(ended);
        BOOST_TEST(!weft::move_on_after(2ms, [] {
            weft::offload([] {
                for (;;)
                    weft::this_fiber::check_cancelled();
            });
        }));
    });
}

BOOST_AUTO_TEST_CASE(a_call_may_be_abandoned) {
    auto const token = std::make_shared<std::atomic<int>>(0);
    weft::run([&] {
        weft::offload_pool pool;
        auto const go = std::make_shared<gate>();
        auto const begun = std::make_shared<std::atomic<bool>>(false);
        auto caller = weft::spawn([&] {
            weft::offload({.abandon_on_cancel = true, .pool = &pool}, [go, token, begun] {
                *begun = true;
                go->wait()();
                ++*token;
            });
        });
        while (!*begun)
            weft::this_fiber::yield();
        caller.cancel();
        BOOST_CHECK_THROW(caller.get(), weft::fiber_cancelled);
        BOOST_TEST(*token == 0);
        go->open();
    }); // the pool waits for it
    BOOST_TEST(*token == 1);
    BOOST_TEST(token.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(a_thousand_calls_at_once) {
    weft::run([] {
        std::atomic<int> sum = 0;
        weft::with_task_group([&](weft::task_group& group) {
            for (int i = 0; i < 1000; ++i)
                group.spawn([&sum, i] { sum += weft::offload([i] { return i; }); });
        });
        BOOST_TEST(sum == 499'500);
        BOOST_TEST(support::thread_count() < 40);
    });
}

BOOST_AUTO_TEST_CASE(a_pool_has_limits) {
    BOOST_CHECK_THROW(weft::offload_pool({.threads = 0}), std::invalid_argument);
    BOOST_CHECK_THROW(weft::offload_pool({.threads = 1025}), std::invalid_argument);
    BOOST_CHECK_THROW(weft::offload_pool({.queue = SIZE_MAX}), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(the_child_of_a_fork_offloads_again) {
    weft::run([] {
        gate go;
        std::vector<weft::fiber<>> callers;
        for (int i = 0; i < 5; ++i)
            callers.push_back(weft::spawn([&] { weft::offload(go.wait()); }));
        weft::this_fiber::yield();
        pid_t const child = ::fork();
        if (child == 0)
            ::_exit(weft::offload([] { return 9; }));
        int status = 0;
        ::waitpid(child, &status, 0);
        BOOST_TEST(WEXITSTATUS(status) == 9);
        go.open();
    });
}
