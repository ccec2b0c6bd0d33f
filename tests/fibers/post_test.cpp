// post from other workers and plain threads, and how often it wakes the one that it is for.
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/engine.hpp>
#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/future.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>

#include "support/options.hpp"

namespace {

// Waits until it is notified, and counts how often that is.
class counting_engine final : public weft::engine {
public:
    explicit counting_engine(std::atomic<int>& notified) : notified_(notified) {}

    void poll(weft::time_point deadline) noexcept override {
        while (!pending_.exchange(false) && weft::clock::now() < deadline)
            std::this_thread::yield();
    }
    void survive_fork() noexcept override {}
    void notify() noexcept override {
        ++notified_;
        pending_ = true;
    }

private:
    std::atomic<int>& notified_;
    std::atomic<bool> pending_ = false;
};

} // namespace

BOOST_AUTO_TEST_CASE(plain_threads_post) {
    constexpr int count = 2000;
    std::atomic<int> ran = 0;
    std::vector<std::thread> threads;
    weft::run(
        [&] {
            weft::semaphore ended(0);
            std::vector<weft::worker_ref> workers;
            for (std::size_t i = 0; i < 2; ++i) {
                weft::promise<weft::worker_ref> told;
                auto given = told.get_future();
                weft::post(i, [&] { told.set_value(weft::this_worker()); });
                workers.push_back(given.get());
                BOOST_TEST(workers[i].index() == i);
            }
            BOOST_TEST((workers[0] == weft::this_worker()));
            for (int t = 0; t < 3; ++t)
                threads.emplace_back([&ended, &ran, workers, t] {
                    for (int i = 0; i < count; ++i)
                        weft::post(workers[static_cast<std::size_t>((i + t) % 2)],
                                   [&ended, &ran, i, workers, t] {
                                       if (weft::worker_index() == static_cast<std::size_t>((i + t) % 2))
                                           ++ran;
                                       ended.release();
                                   });
                });
            for (int i = 0; i < 3 * count; ++i)
                ended.acquire();
        },
        support::with_workers(2));
    for (std::thread& thread : threads)
        thread.join();
    BOOST_TEST(ran == 3 * count);
}

BOOST_AUTO_TEST_CASE(a_busy_worker_is_not_notified_again_and_again) {
    std::atomic<int> notified = 0;
    weft::run_options options;
    options.make_engine = [&] { return std::make_unique<counting_engine>(notified); };
    weft::run(
        [&] {
            int ran = 0;
            std::atomic<bool> posted = false;
            std::thread thread([&, home = weft::this_worker()] {
                for (int i = 0; i < 10'000; ++i)
                    weft::post(home, [&] { ++ran; });
                posted = true;
            });
            while (!posted) { // computes: nobody looks
            }
            thread.join();
            BOOST_TEST(notified == 0); // it wasn't asleep
            while (ran < 10'000)
                weft::this_fiber::yield();
            // Asleep, it is notified once for all that come before it has woken.
            weft::event done;
            std::thread another([&, home = weft::this_worker()] {
                for (int i = 0; i < 10'000; ++i)
                    weft::post(home, [&] {
                        if (++ran == 20'000)
                            done.set();
                    });
            });
            done.wait();
            another.join();
            BOOST_TEST(notified < 10'000);
        },
        options);
}

BOOST_AUTO_TEST_CASE(after_the_run_nobody_is_there) {
    std::optional<weft::worker_ref> gone;
    weft::run([&] { gone = weft::this_worker(); });
    BOOST_CHECK_THROW(weft::post(*gone, [] {}), std::runtime_error);
    BOOST_CHECK_THROW(weft::post(weft::worker_ref(), [] {}), std::logic_error);
    BOOST_CHECK_THROW(static_cast<void>(weft::this_worker()), std::logic_error);
}

// Either the post is refused, or its function runs: none is lost.
BOOST_AUTO_TEST_CASE(posts_race_with_the_end) {
    for (int round = 0; round < 300; ++round) {
        std::atomic<int> accepted = 0;
        std::atomic<int> ran = 0;
        std::thread thread;
        weft::run([&] {
            thread = std::thread([&, home = weft::this_worker()] {
                try {
                    for (int i = 0; i < 500; ++i) { // no more, or the run might never end
                        weft::post(home, [&] { ++ran; });
                        ++accepted;
                    }
                } catch (std::runtime_error const&) { // the end
                }
            });
            for (int i = 0; i < round % 7; ++i)
                weft::this_fiber::yield();
        });
        thread.join();
        BOOST_TEST(ran == accepted);
    }
}
