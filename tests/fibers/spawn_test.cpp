// spawn and fiber<R>: values, exceptions, and the handle's life.
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

namespace {

using namespace std::chrono_literals;

// Counts those alive.
struct tracked {
    explicit tracked(int& alive_) : alive(&alive_) { ++*alive; }
    tracked(tracked const& other) : alive(other.alive) { ++*alive; }
    tracked(tracked&& other) noexcept : alive(other.alive) { ++*alive; }
    tracked& operator=(tracked const&) = default;
    ~tracked() { --*alive; }

    int* alive;
};

} // namespace

BOOST_AUTO_TEST_CASE(get_returns_values_of_every_kind) {
    weft::run([] {
        BOOST_TEST(weft::spawn([] { return 42; }).get() == 42);
        BOOST_TEST(weft::spawn([] { return std::string(1000, 'x'); }).get() == std::string(1000, 'x'));
        BOOST_TEST(*weft::spawn([] { return std::make_unique<int>(7); }).get() == 7);
        int target = 0;
        weft::spawn([&]() -> int& { return target; }).get() = 5;
        BOOST_TEST(target == 5);
        weft::spawn([] {}).get();
        auto moved_in = std::make_unique<int>(9);
        BOOST_TEST(weft::spawn([p = std::move(moved_in)] { return *p; }).get() == 9);
    });
}

BOOST_AUTO_TEST_CASE(get_rethrows_and_join_does_not) {
    weft::run([] {
        auto failing = weft::spawn([]() -> int { throw std::out_of_range("far"); });
        failing.join();
        failing.join();
        BOOST_TEST(failing.joinable());
        BOOST_CHECK_THROW(failing.get(), std::out_of_range);
        // NOLINTNEXTLINE(clang-analyzer-cplusplus.Move): what get() leaves behind is what is tested
        BOOST_TEST(!failing.joinable());
        struct not_standard {};
        BOOST_CHECK_THROW(weft::spawn([] { throw not_standard(); }).get(), not_standard);
    });
}

BOOST_AUTO_TEST_CASE(a_spawned_fiber_runs_when_the_spawner_waits) {
    weft::run([] {
        std::vector<int> order;
        auto other = weft::spawn([&] { order.push_back(2); });
        order.push_back(1);
        other.join();
        order.push_back(3);
        BOOST_TEST(order == (std::vector<int>{1, 2, 3}), boost::test_tools::per_element());
    });
}

BOOST_AUTO_TEST_CASE(destroying_a_handle_joins) {
    weft::run([] {
        bool ended = false;
        {
            auto handle = weft::spawn([&] {
                weft::this_fiber::sleep_for(1ms);
                ended = true;
            });
        }
        BOOST_TEST(ended);
        int first = 0;
        auto handle = weft::spawn([&] {
            weft::this_fiber::yield();
            first = 1;
        });
        handle = weft::spawn([] {});
        BOOST_TEST(first == 1);
    });
}

BOOST_AUTO_TEST_CASE(what_a_fiber_captured_and_returned_is_destroyed_once) {
    int alive = 0;
    weft::run(
        [&] {
            auto handle = weft::spawn([capture = tracked(alive)] { return tracked(*capture.alive); });
            BOOST_TEST(alive == 1);
            handle.join();
            BOOST_TEST(alive == 1); // the result; the capture went with the fiber
            { tracked const result = handle.get(); }
            BOOST_TEST(alive == 0);
            weft::spawn([capture = tracked(alive)] { throw std::runtime_error("x"); }).join();
            BOOST_TEST(alive == 0);
            weft::spawn([capture = tracked(alive)] { return capture; }).detach();
        },
        [] {
            weft::run_options options;
            options.on_unhandled = [](std::string_view, std::exception_ptr const&) {};
            return options;
        }());
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(a_function_that_cannot_be_moved_in_leaves_nothing_behind) {
    struct thrower {
        thrower() = default;
        thrower(thrower const&) { throw std::runtime_error("copy"); }
        void operator()() const {}
    };
    weft::run([] {
        thrower const function;
        for (int i = 0; i < 1000; ++i)
            BOOST_CHECK_THROW(weft::spawn(function).detach(), std::runtime_error);
        BOOST_TEST(weft::spawn([] { return 1; }).get() == 1);
    });
}

BOOST_AUTO_TEST_CASE(joining_oneself_is_an_error) {
    weft::run([] {
        weft::fiber<> self;
        bool refused = false;
        self = weft::spawn([&] {
            try {
                self.join();
            } catch (std::system_error const& e) {
                refused = e.code() == std::errc::resource_deadlock_would_occur;
            }
        });
        weft::this_fiber::yield();
        BOOST_TEST(refused);
    });
}

BOOST_AUTO_TEST_CASE(several_fibers_and_threads_may_join_one) {
    weft::run([] {
        bool go = false;
        auto target = weft::spawn([&] {
            while (!go)
                weft::this_fiber::yield();
        });
        int joined = 0;
        std::vector<weft::fiber<>> others;
        for (int i = 0; i < 5; ++i)
            others.push_back(weft::spawn([&] {
                target.join();
                ++joined;
            }));
        std::atomic<bool> thread_joined = false;
        std::thread thread([&] {
            target.join();
            thread_joined = true;
        });
        weft::this_fiber::yield();
        BOOST_TEST(joined == 0);
        go = true;
        for (auto& each : others)
            each.join();
        thread.join();
        BOOST_TEST(joined == 5);
        BOOST_TEST(thread_joined);
    });
}

BOOST_AUTO_TEST_CASE(a_result_outlives_its_run) {
    std::optional<weft::fiber<std::string>> handle;
    weft::run([&] { handle = weft::spawn([] { return std::string("kept"); }); });
    BOOST_TEST(handle->get() == "kept");
    handle.reset();
    weft::run([&] { handle = weft::spawn([]() -> std::string { return "dropped"; }); });
    handle.reset();
    weft::run([&] { handle = weft::spawn([]() -> std::string { return "dropped in another run"; }); });
    weft::run([&] { handle.reset(); });
}

BOOST_AUTO_TEST_CASE(names_and_numbers) {
    weft::run([] {
        BOOST_TEST(weft::this_fiber::name() == "main");
        auto named = weft::spawn({.name = "reader", .stack_size = 0}, [] {
            BOOST_TEST(weft::this_fiber::name() == "reader");
            weft::this_fiber::set_name("a name that is far longer than what fits");
            BOOST_TEST(weft::this_fiber::name() == "a name that is far longer than ");
            return weft::this_fiber::id();
        });
        BOOST_TEST(named.name() == "reader");
        auto const id = named.id();
        BOOST_TEST(id != weft::this_fiber::id());
        BOOST_TEST(named.get() == id);
        auto unnamed = weft::spawn([] {});
        BOOST_TEST(unnamed.name() == "fiber " + std::to_string(unnamed.id()));
    });
}

BOOST_AUTO_TEST_CASE(a_hundred_thousand_come_and_go) {
    weft::run([] {
        int ended = 0;
        for (int i = 0; i < 100'000; ++i) {
            weft::spawn([&] { ++ended; }).detach();
            if (i % 100 == 0)
                weft::this_fiber::yield();
        }
        while (ended < 100'000)
            weft::this_fiber::yield();
    });
}
