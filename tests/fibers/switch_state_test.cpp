// What must follow a fiber through its switches: errno, exceptions in flight; and Boost's own primitives beside ours.
#include <cerrno>
#include <exception>
#include <stdexcept>
#include <vector>

#include <boost/fiber/all.hpp>
#include <boost/test/unit_test.hpp>

#include <weft/detail/switch_exchange.hpp>
#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

namespace {

using namespace std::chrono_literals;

struct numbered {
    int number;
};

// Yields while an object is destroyed by an exception on its way up.
struct yields_while_unwinding {
    int& in_flight;
    ~yields_while_unwinding() {
        weft::this_fiber::yield();
        in_flight = std::uncaught_exceptions();
    }
};

// As a library keeps a list of the calls that a thread is inside of, newest first.
thread_local struct call_inside* newest_call = nullptr;
struct call_inside {
    call_inside* outer = newest_call;
    call_inside() { newest_call = this; }
    call_inside(call_inside const&) = delete;
    call_inside& operator=(call_inside const&) = delete;
    ~call_inside() { newest_call = outer; }
};

} // namespace

BOOST_AUTO_TEST_CASE(every_fiber_that_yields_in_a_catch_block_rethrows_its_own_exception) {
    constexpr int count = 50;
    int own = 0;
    weft::run([&] {
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < count; ++i)
            fibers.push_back(weft::spawn([i, &own] {
                try {
                    throw numbered{i};
                } catch (...) {
                    for (int turn = 0; turn <= i % 3; ++turn)
                        weft::this_fiber::yield();
                    try {
                        throw;
                    } catch (numbered const& e) {
                        own += e.number == i ? 1 : 0;
                    }
                }
            }));
    });
    BOOST_TEST(own == count);
}

BOOST_AUTO_TEST_CASE(exceptions_in_flight_are_counted_per_fiber) {
    weft::run([] {
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 10; ++i)
            fibers.push_back(weft::spawn([] {
                int in_flight = -1;
                try {
                    yields_while_unwinding const guard{in_flight};
                    throw std::runtime_error("x");
                } catch (std::runtime_error const&) {
                    BOOST_TEST(in_flight == 1);
                    BOOST_TEST(std::uncaught_exceptions() == 0);
                }
            }));
        fibers.push_back(weft::spawn([] {
            weft::this_fiber::yield();
            BOOST_TEST(std::uncaught_exceptions() == 0);
            BOOST_TEST(!std::current_exception());
        }));
    });
}

BOOST_AUTO_TEST_CASE(errno_survives_a_switch) {
    weft::run([] {
        std::vector<weft::fiber<>> fibers;
        for (int i = 1; i <= 50; ++i)
            fibers.push_back(weft::spawn([i] {
                errno = i;
                weft::this_fiber::yield();
                BOOST_TEST(errno == i);
                weft::this_fiber::sleep_for(1ms);
                BOOST_TEST(errno == i);
            }));
        errno = 99;
        fibers.clear();
        BOOST_TEST(errno == 99);
    });
}

BOOST_AUTO_TEST_CASE(boosts_primitives_work_between_our_fibers) {
    namespace bf = boost::fibers;
    weft::run([] {
        bf::mutex mutex;
        bf::condition_variable changed;
        bf::buffered_channel<int> channel(4);
        int turn = 0;
        auto waiter = weft::spawn([&] {
            std::unique_lock lock(mutex);
            changed.wait(lock, [&] { return turn == 1; });
            turn = 2;
            changed.notify_all();
        });
        auto timed = weft::spawn([&] {
            std::unique_lock lock(mutex);
            BOOST_TEST(!changed.wait_for(lock, 1ms, [] { return false; }));
        });
        auto consumer = weft::spawn([&] {
            int sum = 0;
            for (int value : channel)
                sum += value;
            return sum;
        });
        {
            std::unique_lock lock(mutex);
            turn = 1;
            changed.notify_all();
            changed.wait(lock, [&] { return turn == 2; });
        }
        for (int i = 1; i <= 100; ++i)
            channel.push(i);
        channel.close();
        BOOST_TEST(consumer.get() == 5050);
        waiter.join();
        timed.join();
    });
}

BOOST_AUTO_TEST_CASE(boosts_fibers_run_beside_ours) {
    namespace bf = boost::fibers;
    weft::run([] {
        auto future = bf::async([] {
            boost::this_fiber::sleep_for(1ms);
            weft::this_fiber::sleep_for(1ms);
            return 5;
        });
        bf::fiber other([] { weft::this_fiber::yield(); });
        BOOST_TEST(weft::spawn([] { return 6; }).get() == 6);
        BOOST_TEST(future.get() == 5);
        other.join();
    });
}

BOOST_AUTO_TEST_CASE(what_a_library_keeps_per_thread_can_be_kept_per_fiber) {
    weft::detail::exchange_at_switches(
        [](weft::detail::library_state& leaving, weft::detail::library_state const& next) noexcept {
            leaving[0] = newest_call;
            newest_call = static_cast<call_inside*>(next[0]);
        });
    for (int run = 0; run < 2; ++run) {
        weft::run([] {
            call_inside const of_main;
            int balanced = 0;
            std::vector<weft::fiber<>> fibers;
            for (int i = 0; i < 3; ++i)
                fibers.push_back(
                    weft::spawn([&, turns = i + 1] { // left in the order in which they were entered
                        call_inside const* const before = newest_call;
                        {
                            call_inside const own;
                            for (int turn = 0; turn < turns; ++turn) {
                                weft::this_fiber::yield();
                                balanced += newest_call == &own ? 1 : 0;
                            }
                        }
                        balanced += before == nullptr && newest_call == nullptr ? 1 : 0;
                    }));
            fibers.clear();
            BOOST_TEST(balanced == 1 + 2 + 3 + 3);
            BOOST_TEST(newest_call == &of_main);
        });
        BOOST_TEST(newest_call == nullptr);
    }
    weft::detail::exchange_at_switches(nullptr);
}
