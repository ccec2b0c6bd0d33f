// semaphore and bounded_semaphore: order, limits, time, threads.
#include <atomic>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/bounded_semaphore.hpp>
#include <weft/fiber.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>

#include "support/seed.hpp"

namespace {

using namespace std::chrono_literals;

} // namespace

BOOST_AUTO_TEST_CASE(lets_so_many_in_at_once_and_no_more) {
    weft::run([] {
        weft::semaphore permits(10);
        int inside = 0;
        int most = 0;
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 100; ++i)
            fibers.push_back(weft::spawn([&] {
                std::scoped_lock const permit(permits);
                most = std::max(most, ++inside);
                weft::this_fiber::yield();
                --inside;
            }));
        fibers.clear();
        BOOST_TEST(most == 10);
        BOOST_TEST(permits.available() == 10);
    });
}

BOOST_AUTO_TEST_CASE(is_first_come_first_served_and_nobody_overtakes) {
    weft::run([] {
        weft::semaphore permits(0);
        std::vector<int> order;
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 5; ++i)
            fibers.push_back(weft::spawn([&, i] {
                permits.acquire();
                order.push_back(i);
            }));
        weft::this_fiber::yield();
        permits.release(2);
        BOOST_TEST(!permits.try_acquire()); // promised to those who wait
        permits.release(3);
        fibers.clear();
        BOOST_TEST(order == (std::vector<int>{0, 1, 2, 3, 4}), boost::test_tools::per_element());
    });
}

BOOST_AUTO_TEST_CASE(timed_acquire_says_truly_why_it_returned) {
    weft::run([] {
        weft::semaphore permits(0);
        BOOST_TEST(!permits.try_acquire_for(0s));
        BOOST_TEST(!permits.try_acquire_for(1ms));
        BOOST_TEST(!permits.try_acquire_until(weft::clock::now() - 1s));
        auto giver = weft::spawn([&] { permits.release(); });
        BOOST_TEST(permits.try_acquire_for(1h));
        // Who timed out is off the list: the permit goes to whoever comes next.
        permits.release();
        BOOST_TEST(permits.try_acquire());
    });
}

// The release comes after the deadline has passed, but before the waiter has run: who woke it decides, not the clock.
BOOST_AUTO_TEST_CASE(a_permit_given_before_the_timer_fires_counts) {
    weft::run([] {
        weft::semaphore permits(0);
        auto waiter = weft::spawn([&] { return permits.try_acquire_for(2ms); });
        weft::this_fiber::yield();
        auto const late = weft::clock::now() + 5ms;
        while (weft::clock::now() < late) {
        }
        permits.release(); // no switch has happened since the deadline
        BOOST_TEST(waiter.get());
        BOOST_TEST(permits.available() == 0);
    });
}

BOOST_AUTO_TEST_CASE(refuses_nonsense) {
    BOOST_CHECK_THROW(weft::semaphore(-1), std::invalid_argument);
    weft::semaphore full(weft::semaphore::max);
    BOOST_CHECK_THROW(full.release(), std::overflow_error);
    BOOST_CHECK_THROW(full.release(-1), std::invalid_argument);
    BOOST_TEST(full.available() == weft::semaphore::max);
}

BOOST_AUTO_TEST_CASE(over_release_of_a_bounded_semaphore_is_an_error) {
    weft::run([] {
        weft::bounded_semaphore permits(2);
        BOOST_CHECK_THROW(permits.release(), std::logic_error);
        permits.acquire();
        BOOST_CHECK_THROW(permits.release(2), std::logic_error);
        permits.release();
        BOOST_CHECK_THROW(permits.release(), std::logic_error);
        BOOST_TEST(permits.available() == 2);
        // A permit that is handed on stays acquired.
        permits.acquire();
        permits.acquire();
        auto waiter = weft::spawn([&] { permits.acquire(); });
        weft::this_fiber::yield();
        permits.release();
        waiter.join();
        permits.release(2);
        BOOST_CHECK_THROW(permits.release(), std::logic_error);
    });
}

BOOST_AUTO_TEST_CASE(works_on_plain_threads) {
    weft::semaphore permits(0);
    BOOST_TEST(!permits.try_acquire_for(1ms));
    std::thread giver([&] { permits.release(); });
    permits.acquire();
    giver.join();
}

// Who acquired may destroy the semaphore, while the release on the other side has not returned.
BOOST_AUTO_TEST_CASE(may_end_as_soon_as_it_is_acquired) {
    weft::run_options options;
    options.workers = 2;
    weft::run(
        [] {
            for (int i = 0; i < 2000; ++i) {
                auto const permits = std::make_unique<weft::semaphore>(0);
                weft::post(1, [&permit = *permits] { permit.release(); });
                permits->acquire();
            }
        },
        options);
    for (int i = 0; i < 500; ++i) {
        auto const permits = std::make_unique<weft::semaphore>(0);
        std::thread giver([&permit = *permits] { permit.release(); });
        permits->acquire();
        giver.detach();
    }
}

// Fibers of several workers and plain threads pass a few permits round, with random time limits: none may be lost, and
// none may appear.
BOOST_AUTO_TEST_CASE(no_permit_is_lost_between_workers_and_threads) {
    support::seeded random;
    constexpr int rounds = 3000;
    constexpr std::ptrdiff_t total = 3;
    weft::bounded_semaphore permits(total);
    std::atomic<int> inside = 0;
    std::atomic<bool> exceeded = false;
    auto const body = [&](unsigned seed) {
        std::mt19937 engine(seed);
        for (int i = 0; i < rounds; ++i) {
            bool taken = true;
            switch (engine() % 4) {
            case 0: taken = permits.try_acquire(); break;
            case 1: taken = permits.try_acquire_for(std::chrono::microseconds(engine() % 50)); break;
            default: permits.acquire(); break;
            }
            if (!taken)
                continue;
            if (++inside > total)
                exceeded = true;
            if (engine() % 3 == 0)
                weft::this_fiber::yield();
            --inside;
            permits.release();
        }
    };
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t)
        threads.emplace_back(body, random.below(1'000'000));
    weft::run_options options;
    options.workers = 3;
    weft::run(
        [&] {
            for (std::size_t i = 0; i < 12; ++i)
                weft::post(i % 3, [&, seed = random.below(1'000'000)] { body(seed); });
        },
        options);
    for (std::thread& thread : threads)
        thread.join();
    BOOST_TEST(!exceeded, "seed " << random.seed());
    BOOST_TEST(permits.available() == total);
}

BOOST_AUTO_TEST_CASE(a_deadline_long_ago_is_over_for_plain_threads_too) {
    weft::semaphore permits(0);
    BOOST_TEST(!permits.try_acquire_until(weft::time_point::min()));
    BOOST_TEST(!permits.try_acquire_until(weft::time_point() - 1h));
}
