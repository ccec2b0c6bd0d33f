// wait_all, wait_any, as_completed, gather, map, race.
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/as_completed.hpp>
#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/gather.hpp>
#include <weft/race.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/task_group.hpp>
#include <weft/testing/schedules.hpp>
#include <weft/testing/virtual_clock.hpp>
#include <weft/this_fiber.hpp>
#include <weft/wait.hpp>

#include "support/sleeper.hpp"

namespace {

using namespace std::chrono_literals;
using support::sleeper;

// Returns `value` after that many milliseconds.
template <class T> auto after(int milliseconds, T value) {
    return [=] {
        weft::this_fiber::sleep_for(std::chrono::milliseconds(milliseconds));
        return value;
    };
}

// On a virtual clock, so that no test waits.
template <class Main> void run_virtually(Main main) {
    weft::testing::virtual_clock const clock;
    weft::run(main);
}

} // namespace

BOOST_AUTO_TEST_CASE(wait_any_gives_the_first_and_wait_all_all) {
    run_virtually([] {
        std::vector<weft::fiber<int>> fibers;
        for (int const delay : {30, 10, 20})
            fibers.push_back(weft::spawn(after(delay, delay)));
        BOOST_TEST(!weft::wait_any_for(fibers, 5ms).has_value());
        BOOST_TEST(weft::wait_any(fibers) == 1);
        BOOST_TEST(weft::wait_any(fibers) == 1); // it still has
        BOOST_TEST(!fibers[2].done());
        weft::wait_all(fibers);
        BOOST_TEST(weft::wait_any(fibers) == 0);
        weft::task_group group;
        auto one = group.spawn(after(5, std::string("x")));
        auto two = weft::spawn([] { weft::this_fiber::sleep_for(1ms); });
        BOOST_TEST(weft::wait_any(one, two) == 1);
        weft::wait_all(one, two);
        BOOST_TEST(one.get() == "x");
        BOOST_CHECK_THROW(weft::wait_any(one, two), std::logic_error); // `one` refers to no fiber any more
        std::vector<weft::fiber<int>> none;
        BOOST_CHECK_THROW(weft::wait_any(none), std::invalid_argument);
        auto sleeping = weft::spawn([] { weft::this_fiber::sleep_for(1h); });
        auto sleeping_too = weft::spawn([] { weft::this_fiber::sleep_for(1h); });
        BOOST_TEST(!weft::move_on_after(1ms, [&] { weft::wait_any(sleeping, sleeping_too); }));
        std::thread thread([&] { BOOST_TEST(weft::wait_any(sleeping, sleeping_too) < 2); });
        sleeping.join();
        thread.join();
    });
}

BOOST_AUTO_TEST_CASE(as_completed_goes_in_the_order_of_ends) {
    run_virtually([] {
        std::vector<weft::fiber<int>> fibers;
        for (int const delay : {30, 10, 20})
            fibers.push_back(weft::spawn(after(delay, delay)));
        fibers.push_back(weft::spawn([]() -> int { throw std::runtime_error("x"); }));
        std::vector<int> order;
        for (auto& done : weft::as_completed(std::move(fibers))) {
            auto const outcome = done.try_get();
            order.push_back(outcome.value_or(-1));
        }
        BOOST_TEST(order == (std::vector<int>{-1, 10, 20, 30}), boost::test_tools::per_element());
        for (auto& done : weft::as_completed(std::vector<weft::fiber<>>()))
            done.get();
    });
}

BOOST_AUTO_TEST_CASE(leaving_as_completed_early_cleans_up) {
    run_virtually([] {
        int cancelled = 0;
        auto const make = [&] {
            std::vector<weft::fiber<>> fibers;
            fibers.push_back(weft::spawn(sleeper(cancelled)));
            fibers.push_back(weft::spawn([] {}));
            fibers.push_back(weft::spawn(sleeper(cancelled)));
            return fibers;
        };
        for (auto& done : weft::as_completed(make())) {
            done.get();
            break;
        }
        BOOST_TEST(cancelled == 2);
        try {
            for (auto& done : weft::as_completed(make())) {
                done.get();
                throw std::runtime_error("x");
            }
        } catch (std::runtime_error const&) {
            BOOST_TEST(cancelled == 4);
        }
        BOOST_TEST(!weft::move_on_after(1ms, [&] {
            for (auto& done : weft::as_completed(make()))
                done.get();
        }));
        BOOST_TEST(cancelled == 6);
        auto all = weft::as_completed(make());
        BOOST_TEST(*all.next() == 1U);
        BOOST_TEST(all.left() == 2);
    });
}

BOOST_AUTO_TEST_CASE(gather_returns_all_in_order) {
    run_virtually([] {
        int touched = 0;
        auto [number, text, nothing] =
            weft::gather(after(20, 42), after(10, std::string("text")), [&] { touched = 1; });
        BOOST_TEST(number == 42);
        BOOST_TEST(text == "text");
        BOOST_TEST(touched == 1);
        static_assert(std::is_same_v<decltype(nothing), std::monostate>);
        auto [moved] = weft::gather(weft::spawn([] { return std::make_unique<int>(7); }));
        BOOST_TEST(*moved == 7);
        std::vector<weft::fiber<int>> fibers;
        for (int i = 0; i < 5; ++i)
            fibers.push_back(weft::spawn(after(10 - i, i)));
        auto const values = weft::gather(std::move(fibers));
        BOOST_TEST(values == (std::vector<int>{0, 1, 2, 3, 4}), boost::test_tools::per_element());
    });
}

BOOST_AUTO_TEST_CASE(the_first_failure_ends_a_gather) {
    run_virtually([] {
        int cancelled = 0;
        auto const failing = []() -> int {
            weft::this_fiber::sleep_for(1ms);
            throw std::out_of_range("far");
        };
        BOOST_CHECK_THROW(weft::gather(sleeper(cancelled), failing, sleeper(cancelled)), std::out_of_range);
        BOOST_TEST(cancelled == 2);
        BOOST_TEST(!weft::move_on_after(1ms, [&] { weft::gather(sleeper(cancelled), sleeper(cancelled)); }));
        BOOST_TEST(cancelled == 4);
        auto const gather_vector = [&] {
            std::vector<weft::fiber<>> fibers;
            fibers.push_back(weft::spawn(sleeper(cancelled)));
            fibers.push_back(weft::spawn([] { throw std::out_of_range("far"); }));
            weft::gather(std::move(fibers));
        };
        BOOST_CHECK_THROW(gather_vector(), std::out_of_range);
        BOOST_TEST(cancelled == 5);
    });
}

BOOST_AUTO_TEST_CASE(map_keeps_to_its_limit) {
    weft::testing::for_each_schedule(200, [](weft::testing::random& draw) {
        std::vector<int> inputs(draw.below(40));
        for (int& each : inputs)
            each = static_cast<int>(draw.below(1000));
        std::size_t const limit = 1 + draw.below(8);
        std::size_t at_once = 0;
        std::size_t most = 0;
        auto const doubled = weft::map(
            inputs,
            [&](int value) {
                most = std::max(most, ++at_once);
                weft::this_fiber::sleep_for(std::chrono::milliseconds(value % 7));
                --at_once;
                return value * 2;
            },
            limit);
        if (most != std::min(limit, inputs.size()) || doubled.size() != inputs.size())
            throw std::runtime_error("not at the limit");
        for (std::size_t i = 0; i < inputs.size(); ++i)
            if (doubled[i] != inputs[i] * 2)
                throw std::runtime_error("out of order");
    });
    run_virtually([] {
        std::vector<int> const inputs{1, 2, 3, 4};
        int begun = 0;
        BOOST_CHECK_THROW(weft::map(
                              inputs,
                              [&](int value) {
                                  ++begun;
                                  if (value == 2)
                                      throw std::out_of_range("far");
                                  weft::this_fiber::sleep_for(1h);
                              },
                              2),
                          std::out_of_range);
        BOOST_TEST(begun == 2);
        BOOST_CHECK_THROW(weft::map(
                              inputs, [](int) {}, 0),
                          std::invalid_argument);
    });
}

BOOST_AUTO_TEST_CASE(a_race_has_one_winner) {
    run_virtually([] {
        int cancelled = 0;
        auto const start = weft::clock::now();
        BOOST_TEST(weft::race(after(20, 1), after(10, 2), after(30, 3)) == 2);
        auto const either = weft::race(sleeper(cancelled), after(5, std::string("fast")));
        BOOST_TEST(std::get<1>(either) == "fast");
        BOOST_TEST(cancelled == 1);
        weft::race(sleeper(cancelled), [] {});
        BOOST_TEST(cancelled == 2);
        BOOST_CHECK_THROW(weft::race(sleeper(cancelled), [] { throw std::out_of_range("far"); }),
                          std::out_of_range);
        BOOST_TEST(cancelled == 3);
        BOOST_TEST(!weft::move_on_after(1ms, [&] { weft::race(sleeper(cancelled), sleeper(cancelled)); }));
        BOOST_TEST(cancelled == 5);
        BOOST_TEST((weft::clock::now() - start == 16ms));
    });
}
