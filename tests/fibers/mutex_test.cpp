// mutex and recursive_mutex: one at a time, in turn, with an owner.
#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/mutex.hpp>
#include <weft/run.hpp>
#include <weft/testing/virtual_clock.hpp>
#include <weft/this_fiber.hpp>

#include "support/child.hpp"
#include "support/disturbance.hpp"
#include "support/everywhere.hpp"
#include "support/line.hpp"
#include "support/messages.hpp"
#include "support/short_lived.hpp"

namespace {

using namespace std::chrono_literals;
using support::require;
using support::says;

template <class Mutex> void stays_exclusive_and_fair() {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        Mutex mutex;
        support::disturbance chance(draw);
        support::line all(1);
        int inside = 0;
        chance.run(5, [&](unsigned) {
            for (int i = 0; i < 4; ++i) {
                chance.pause();
                if (!support::take(chance, all, mutex))
                    continue;
                support::holding const held(all, mutex);
                require(++inside == 1 && mutex.owned(), "two are inside");
                chance.yield();
                --inside;
                chance.pause();
            }
        });
        require(mutex.try_lock(), "it is held by one that has gone");
        mutex.unlock();
    });
}

} // namespace

BOOST_AUTO_TEST_CASE(is_handed_over_in_order_and_nobody_overtakes) {
    weft::run([] {
        weft::mutex mutex;
        std::vector<int> order;
        std::vector<weft::fiber<>> fibers;
        mutex.lock();
        for (int i = 0; i < 5; ++i)
            fibers.push_back(weft::spawn([&, i] {
                std::scoped_lock const lock(mutex);
                order.push_back(i);
                weft::this_fiber::yield();
            }));
        weft::this_fiber::yield();
        mutex.unlock();
        BOOST_TEST(!mutex.try_lock()); // it is the first one's already
        mutex.lock();
        BOOST_TEST(order == (std::vector<int>{0, 1, 2, 3, 4}), boost::test_tools::per_element());
        mutex.unlock();
    });
}

BOOST_AUTO_TEST_CASE(the_standards_guards_work_with_it) {
    weft::run([] {
        weft::mutex one;
        weft::recursive_mutex two;
        // Taken in opposite orders by std::lock, they don't lock each other out.
        auto const both = [](auto& first, auto& second) {
            for (int i = 0; i < 20; ++i) {
                std::unique_lock a(first, std::defer_lock);
                std::unique_lock b(second, std::defer_lock);
                std::lock(a, b);
                weft::this_fiber::yield();
            }
        };
        auto there = weft::spawn([&] { both(one, two); });
        auto back = weft::spawn([&] { both(two, one); });
        there.join();
        back.join();
        std::scoped_lock const all(one, two);
        std::unique_lock const again(two, 1s);
        BOOST_TEST(again.owns_lock());
        auto other = weft::spawn([&] {
            std::unique_lock const tried(one, std::try_to_lock);
            std::unique_lock const timed(one, 1ms);
            return tried.owns_lock() || timed.owns_lock();
        });
        BOOST_TEST(!other.get());
    });
}

BOOST_AUTO_TEST_CASE(timed_locks_say_truly_why_they_returned) {
    weft::testing::virtual_clock const clock;
    weft::run([&] {
        weft::mutex mutex;
        mutex.lock();
        auto late = weft::spawn([&] { return mutex.try_lock_for(1ms); });
        auto in_time = weft::spawn([&] {
            bool const got = mutex.try_lock_for(10ms);
            mutex.unlock();
            return got;
        });
        weft::this_fiber::sleep_for(5ms);
        BOOST_TEST(!late.get());
        mutex.unlock();
        BOOST_TEST(in_time.get());
        BOOST_TEST((clock.elapsed() == 5ms));
        BOOST_TEST(mutex.try_lock_until(weft::clock::now() - 1s)); // no wait, no deadline
        mutex.unlock();
    });
}

BOOST_AUTO_TEST_CASE(misuse_names_the_mutex_and_the_owner) {
    weft::run([] {
        using std::errc;
        weft::mutex mutex("accounts");
        BOOST_TEST(mutex.name() == std::string("accounts"));
        BOOST_TEST(mutex.describe() == "mutex \"accounts\"");
        BOOST_CHECK_EXCEPTION(mutex.unlock(), std::system_error,
                              says(errc::operation_not_permitted, "weft::mutex \"accounts\": unlocked by"));
        BOOST_CHECK_EXCEPTION(mutex.unlock(), std::system_error,
                              says(errc::operation_not_permitted, "but nobody holds it"));
        mutex.lock();
        BOOST_CHECK_EXCEPTION(mutex.lock(), std::system_error,
                              says(errc::resource_deadlock_would_occur, "locked again by its owner, thread"));
        BOOST_CHECK_EXCEPTION(static_cast<void>(mutex.try_lock_for(1h)), std::system_error,
                              says(errc::resource_deadlock_would_occur, "\"accounts\""));
        BOOST_TEST(!mutex.try_lock());
        weft::spawn([&] {
            BOOST_CHECK_EXCEPTION(
                mutex.unlock(), std::system_error,
                says(errc::operation_not_permitted,
                     "unlocked by fiber " + std::to_string(weft::this_fiber::id()) + ", but thread"));
            BOOST_TEST(!mutex.owned());
        }).join();
        BOOST_TEST(mutex.owned());
        mutex.unlock();
        BOOST_TEST(mutex.holder() == 0);
        weft::recursive_mutex again("twice");
        again.lock();
        again.lock();
        weft::spawn([&] {
            BOOST_CHECK_EXCEPTION(again.unlock(), std::system_error,
                                  says("weft::recursive_mutex \"twice\": unlocked by fiber"));
            BOOST_TEST(!again.try_lock());
        }).join();
        again.unlock();
        BOOST_TEST(again.owned());
        again.unlock();
        BOOST_CHECK_THROW(again.unlock(), std::system_error);
    });
}

BOOST_AUTO_TEST_CASE(to_destroy_a_held_one_ends_the_program) {
    auto const result = support::in_child([] {
        weft::run([] {
            auto const mutex = std::make_unique<weft::mutex>("accounts");
            mutex->lock();
        });
        return 0;
    });
    BOOST_TEST(result.killed_by(SIGABRT));
    BOOST_TEST(result.errors.find("weft::mutex \"accounts\": destroyed while thread") != std::string::npos,
               result.errors);
}

BOOST_AUTO_TEST_CASE(waiting_can_be_cancelled_and_taking_can_not) {
    weft::run([] {
        weft::mutex mutex;
        mutex.lock();
        auto waiter = weft::spawn([&] { mutex.lock(); });
        weft::this_fiber::yield();
        waiter.cancel();
        BOOST_CHECK_THROW(waiter.get(), weft::fiber_cancelled);
        mutex.unlock();
        {
            weft::cancel_scope scope;
            scope.cancel();
            mutex.lock();
            BOOST_TEST(mutex.owned());
            mutex.unlock();
        }
        // Handed over before the cancellation: it stays so.
        mutex.lock();
        auto lucky = weft::spawn([&] {
            mutex.lock();
            mutex.unlock();
            return true;
        });
        weft::this_fiber::yield();
        mutex.unlock();
        lucky.cancel();
        BOOST_TEST(lucky.try_get().value());
        // While an exception is in flight, nothing is thrown: the destructor gets what it waits for.
        auto unlocker = weft::spawn([&] {
            std::scoped_lock const lock(mutex);
            for (int i = 0; i < 5; ++i)
                weft::this_fiber::yield();
        });
        weft::this_fiber::yield();
        struct tidy {
            weft::mutex& mutex;
            ~tidy() { std::scoped_lock const lock(mutex); }
        };
        try {
            tidy const at_end{mutex};
            throw std::runtime_error("x");
        } catch (std::runtime_error const&) {
            BOOST_TEST(!mutex.owned());
        }
    });
}

BOOST_AUTO_TEST_CASE(a_recursive_one_is_free_when_it_was_unlocked_as_often) {
    weft::testing::virtual_clock const clock;
    weft::run([] {
        weft::recursive_mutex mutex;
        mutex.lock();
        BOOST_TEST(mutex.try_lock());
        BOOST_TEST(mutex.try_lock_for(1s));
        auto other = weft::spawn([&] {
            bool const early = mutex.try_lock_for(1ms);
            mutex.lock();
            mutex.unlock();
            return early;
        });
        weft::this_fiber::sleep_for(5ms);
        mutex.unlock();
        mutex.unlock();
        weft::this_fiber::yield();
        BOOST_TEST(!other.done());
        mutex.unlock();
        BOOST_TEST(!other.get());
        BOOST_TEST(mutex.try_lock());
        mutex.unlock();
    });
}

BOOST_AUTO_TEST_CASE(holds_in_every_order) { stays_exclusive_and_fair<weft::mutex>(); }
BOOST_AUTO_TEST_CASE(a_recursive_one_holds_in_every_order) {
    stays_exclusive_and_fair<weft::recursive_mutex>();
}

BOOST_AUTO_TEST_CASE(holds_between_workers_and_threads) {
    weft::mutex mutex;
    long counter = 0; // guarded by it
    std::atomic<long> expected = 0;
    support::everywhere(4, [&](weft::testing::random& draw) {
        for (unsigned i = 0; i < support::rounds_everywhere; ++i) {
            support::maybe_cancelled(draw, [&] {
                std::unique_lock lock(mutex, std::defer_lock);
                switch (draw.below(4)) {
                case 0: static_cast<void>(lock.try_lock()); break;
                case 1:
                    static_cast<void>(lock.try_lock_for(std::chrono::microseconds(draw.below(50))));
                    break;
                default: lock.lock();
                }
                if (!lock.owns_lock())
                    return;
                long const before = counter;
                ++expected;
                if (draw.below(4) == 0)
                    weft::this_fiber::yield();
                counter = before + 1;
            });
        }
    });
    BOOST_TEST(counter == expected);
    BOOST_TEST(mutex.try_lock());
    mutex.unlock();
}

// Who locked it may destroy it, though the unlock that let it in is not back yet.
BOOST_AUTO_TEST_CASE(may_end_as_soon_as_it_was_handed_over) {
    support::short_lived_lock([] { return std::make_unique<weft::mutex>(); });
}
