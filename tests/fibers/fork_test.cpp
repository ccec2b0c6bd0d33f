// The child of a fork by a fiber: it goes on alone, and nobody from the parent's fibers and threads comes back.
#include <chrono>
#include <stdexcept>
#include <thread>

#include <boost/test/unit_test.hpp>

#include <weft/channel.hpp>
#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/mutex.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>
#include <weft/timer.hpp>

#include "support/child.hpp"
#include "support/options.hpp"

using namespace std::chrono_literals;

BOOST_AUTO_TEST_CASE(who_waited_is_not_woken) {
    weft::run([] {
        weft::semaphore permits(0);
        weft::event go;
        weft::channel<int> numbers(0);
        int woken = 0;
        auto const waits = [&](auto wait) {
            return weft::spawn([&woken, wait] {
                wait();
                ++woken;
            });
        };
        auto one = waits([&] { permits.acquire(); });
        auto two = waits([&] { go.wait(); });
        auto three = waits([&] { numbers.receive(); });
        std::thread thread([&] { permits.acquire(); }); // it, too, is not in the child
        weft::this_fiber::sleep_for(1ms);
        auto const child = support::in_child([&] {
            permits.release(2);
            go.set();
            bool const taken = numbers.try_send(1) == weft::channel_status::success;
            for (int i = 0; i < 5; ++i)
                weft::this_fiber::yield();
            return woken == 0 && permits.available() == 2 && !taken ? 0 : 1;
        });
        BOOST_TEST(child.exited(0));
        permits.release(2);
        go.set();
        numbers.send(1);
        thread.join();
        one.join();
        two.join();
        three.join();
        BOOST_TEST(woken == 3);
    });
}

BOOST_AUTO_TEST_CASE(main_is_not_woken_where_another_fiber_forks) {
    weft::run([] {
        weft::event ended;
        bool main_went_on = false;
        support::child_result child;
        auto forking = weft::spawn([&] {
            child = support::in_child([&] {
                ended.set();
                for (int i = 0; i < 5; ++i)
                    weft::this_fiber::yield();
                return main_went_on ? 1 : 0;
            });
            ended.set();
        });
        ended.wait();
        main_went_on = true;
        forking.join();
        BOOST_TEST(child.exited(0));
    });
}

BOOST_AUTO_TEST_CASE(timers_are_not_armed_any_more) {
    weft::run([] {
        bool called = false;
        weft::timer timer(1ms, [&] { called = true; });
        auto const child = support::in_child([&] {
            if (timer.armed() || timer.wait())
                return 1;
            weft::this_fiber::sleep_for(2ms);
            if (called)
                return 2;
            timer.set(1ms);
            return timer.wait() ? 0 : 3;
        });
        BOOST_TEST(child.exited(0));
    });
}

BOOST_AUTO_TEST_CASE(other_workers_are_not_there) {
    weft::run(
        [] {
            auto const child = support::in_child([] {
                try {
                    weft::post(1, [] {});
                } catch (std::runtime_error const&) {
                    return 0;
                }
                return 1;
            });
            BOOST_TEST(child.exited(0));
        },
        support::with_workers(2));
}
