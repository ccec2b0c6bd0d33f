// biased_lock: one at a time, whoever is favoured, and when that ends.
#include <atomic>
#include <barrier>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/detail/biased_lock.hpp>
#include <weft/event.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/everywhere.hpp"
#include "support/memory.hpp"
#include "support/options.hpp"

namespace {

// What it guards: two numbers that are always equal, so that who gets in too early sees it.
struct guarded {
    weft::detail::biased_lock lock;
    long one = 0;
    long two = 0;
    static inline std::atomic<bool> two_were_inside = false; // not thrown: others would wait for ever

    void count() {
        std::scoped_lock const held(lock);
        if (one != two)
            two_were_inside = true;
        ++one;
        std::atomic_signal_fence(std::memory_order_seq_cst); // not to be merged
        ++two;
    }
};

constexpr long often = support::sanitized ? 100'000 : 2'000'000;

} // namespace

BOOST_AUTO_TEST_CASE(the_favoured_worker_counts_alone) {
    guarded all;
    weft::run([&] {
        for (long i = 0; i < often; ++i)
            all.count();
    });
    BOOST_TEST(all.one == often);
    // Another run, another worker, perhaps at the same address; then none at all.
    weft::run([&] { weft::post(1, [&] { all.count(); }); }, support::with_workers(2));
    all.count();
    BOOST_TEST(all.one == often + 2);
}

BOOST_AUTO_TEST_CASE(a_thread_may_come_first) {
    guarded all;
    all.count();
    support::everywhere(1, [&](weft::testing::random&) {
        for (long i = 0; i < often / 4; ++i)
            all.count();
    });
    BOOST_TEST(!guarded::two_were_inside);
    BOOST_TEST(all.two == 1 + (support::workers_everywhere + support::threads_everywhere) * (often / 4));
}

// The favour ends while its worker is in and out all the time.
BOOST_AUTO_TEST_CASE(favour_ends_in_the_midst_of_use) {
    constexpr int times = support::sanitized ? 20 : 100;
    for (int i = 0; i < times; ++i) {
        guarded all;
        std::atomic<bool> begun = false;
        std::atomic<bool> stop = false;
        constexpr int theirs = 1000;
        long ours = 0;
        auto const late = [&] {
            while (!begun)
                std::this_thread::yield();
            for (int spin = 0; spin < i * 100; ++spin)
                std::atomic_signal_fence(std::memory_order_seq_cst);
            for (int n = 0; n < theirs; ++n)
                all.count();
        };
        std::thread one(late);
        std::thread two(late);
        std::thread ending([&] {
            one.join();
            two.join();
            stop = true;
        });
        weft::run([&] {
            while (!stop) {
                all.count();
                ++ours;
                begun = true;
            }
        });
        ending.join();
        BOOST_TEST(all.one == 2 * theirs + ours);
        BOOST_TEST(all.two == all.one);
        BOOST_TEST(!guarded::two_were_inside);
    }
}

// Locks that live for a moment: used by one a little, then by all.
BOOST_AUTO_TEST_CASE(many_short_lived_ones) {
    constexpr unsigned users = support::workers_everywhere + support::threads_everywhere;
    constexpr unsigned rounds = support::sanitized ? 30 : 200;
    constexpr std::size_t count = 40;
    constexpr long times = 50;
    std::unique_ptr<std::vector<guarded>> all;
    // Of threads, as there is one fiber a worker.
    std::barrier renewed(users, [&]() noexcept { all = std::make_unique<std::vector<guarded>>(count); });
    std::barrier used(users);
    support::everywhere(1, [&](weft::testing::random& draw) {
        for (unsigned round = 0; round < rounds; ++round) {
            renewed.arrive_and_wait();
            std::size_t const start = draw.below(count);
            for (std::size_t i = 0; i < count; ++i)
                for (long n = 0; n < times; ++n)
                    (*all)[(start + i) % count].count();
            used.arrive_and_wait();
            for (guarded const& each : *all)
                if (each.one != users * times || each.two != each.one)
                    guarded::two_were_inside = true;
        }
    });
    BOOST_TEST(!guarded::two_were_inside);
}

// The first two to come do so at the same moment.
BOOST_AUTO_TEST_CASE(the_first_may_come_at_once) {
    constexpr unsigned count = support::sanitized ? 500 : 3000;
    std::vector<guarded> all(count);
    constexpr unsigned users = support::workers_everywhere + support::threads_everywhere;
    std::barrier together(users); // of threads: there is one fiber a worker
    support::everywhere(1, [&](weft::testing::random&) {
        for (unsigned i = 0; i < count; ++i) {
            together.arrive_and_wait();
            all[i].count();
            all[i].count();
        }
    });
    for (guarded const& each : all)
        BOOST_REQUIRE(each.one == 2 * users);
    BOOST_TEST(!guarded::two_were_inside);
}
