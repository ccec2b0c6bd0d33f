// condition_variable: notifications reach those who wait, in order, and none is lost.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/condition_variable.hpp>
#include <weft/fiber.hpp>
#include <weft/mutex.hpp>
#include <weft/run.hpp>
#include <weft/testing/virtual_clock.hpp>
#include <weft/this_fiber.hpp>

#include "support/disturbance.hpp"
#include "support/everywhere.hpp"
#include "support/line.hpp"

namespace {

using namespace std::chrono_literals;
using support::require;

// A semaphore, as one is built of a mutex and a condition variable.
struct permits {
    weft::mutex mutex;
    weft::condition_variable given;
    int free;

    explicit permits(int count) : free(count) {}
    void give() {
        {
            weft::detail::uncancellable const giving; // whatever becomes of who gives it back
            std::scoped_lock const lock(mutex);
            ++free;
        }
        given.notify_one();
    }
    void take() {
        std::unique_lock lock(mutex);
        given.wait(lock, [&] { return free > 0; });
        require(mutex.owned(), "the wait returned without the lock");
        --free;
    }
    bool take_until(weft::time_point deadline) {
        std::unique_lock lock(mutex);
        if (!given.wait_until(lock, deadline, [&] { return free > 0; }))
            return false;
        --free;
        return true;
    }
};

// Which notifications have reached somebody. Each is for one of those who were in line then; but whoever gives up may have done so before,
// without having run since, and then it was for another, or for nobody.
class notifications {
public:
    explicit notifications(support::line& all) : all_(all) {}

    // As the line's.
    std::size_t arrive() {
        in_line_.push_back(true);
        return all_.arrive();
    }
    void gave_up(std::size_t place) {
        leave(place);
        all_.gave_up(place);
    }
    void got(std::size_t place) {
        auto const its_own = std::find_if(unheard_.begin(), unheard_.end(),
                                          [place](std::size_t places) { return place < places; });
        require(its_own != unheard_.end(), "it returned, and nobody has notified it");
        unheard_.erase(its_own);
        leave(place);
        all_.got(place);
    }

    // One is about to be made.
    void add() {
        unheard_.push_back(in_line_.size());
        all_.add();
        forget_those_for_nobody();
    }
    // Whether whoever was notified has returned.
    [[nodiscard]] bool all_heard() const { return unheard_.empty(); }

private:
    void leave(std::size_t place) {
        in_line_[place] = false;
        forget_those_for_nobody();
    }
    // Each one that is left has somebody of its own, who was in line before it was made.
    void forget_those_for_nobody() {
        std::ptrdiff_t heard = 0;
        std::erase_if(unheard_, [&](std::size_t places) {
            auto const end = in_line_.begin() + static_cast<std::ptrdiff_t>(places);
            bool const for_nobody = std::count(in_line_.begin(), end, true) == heard;
            heard += for_nobody ? 0 : 1;
            all_.add(for_nobody ? -1 : 0);
            return for_nobody;
        });
    }

    support::line& all_;
    std::vector<bool> in_line_;        // by place
    std::vector<std::size_t> unheard_; // in order; how many places there were when it was made
};

} // namespace

BOOST_AUTO_TEST_CASE(wakes_in_order_one_or_all_and_nobody_in_advance) {
    weft::run([] {
        weft::mutex mutex("m");
        weft::condition_variable changed("changed");
        BOOST_TEST(changed.name() == std::string("changed"));
        std::vector<int> order;
        std::vector<weft::fiber<>> fibers;
        changed.notify_all(); // to nobody, and not kept
        for (int i = 0; i < 5; ++i)
            fibers.push_back(weft::spawn([&, i] {
                std::unique_lock lock(mutex);
                changed.wait(lock);
                BOOST_TEST(mutex.owned());
                order.push_back(i);
            }));
        weft::this_fiber::yield();
        {
            std::scoped_lock const lock(mutex);
            changed.notify_one(); // with the lock: the one that is woken waits for it
            weft::this_fiber::yield();
            BOOST_TEST(order.empty());
        }
        weft::this_fiber::yield();
        BOOST_TEST(order.size() == 1);
        changed.notify_one();
        changed.notify_one();
        weft::this_fiber::yield();
        BOOST_TEST(order.size() == 3);
        changed.notify_all();
        fibers.clear();
        BOOST_TEST(order == (std::vector<int>{0, 1, 2, 3, 4}), boost::test_tools::per_element());
    });
}

BOOST_AUTO_TEST_CASE(timed_waits_say_truly_why_they_returned) {
    weft::testing::virtual_clock const clock;
    weft::run([&] {
        weft::mutex mutex;
        weft::condition_variable changed;
        std::unique_lock lock(mutex);
        BOOST_TEST((changed.wait_for(lock, 1ms) == std::cv_status::timeout));
        BOOST_TEST(mutex.owned());
        auto notifier = weft::spawn([&] {
            weft::this_fiber::sleep_for(2ms);
            changed.notify_one();
        });
        BOOST_TEST((changed.wait_for(lock, 3ms) == std::cv_status::no_timeout));
        BOOST_TEST((clock.elapsed() == 3ms));
        // Timed out, but the lock takes its time: it is still a timeout, and what the predicate says counts.
        bool ready = false;
        auto other = weft::spawn([&] {
            std::scoped_lock const held(mutex);
            weft::this_fiber::sleep_for(5ms);
            ready = true;
            changed.notify_all();
        });
        BOOST_TEST(changed.wait_for(lock, 1ms, [&] { return ready; }));
        BOOST_TEST((clock.elapsed() == 8ms));
        BOOST_TEST(!changed.wait_until(lock, weft::clock::now(), [] { return false; }));
    });
}

BOOST_AUTO_TEST_CASE(a_cancelled_wait_has_the_lock_again_first) {
    weft::run([] {
        weft::mutex mutex;
        weft::condition_variable changed;
        bool locked = false;
        auto waiter = weft::spawn([&] {
            std::unique_lock lock(mutex);
            try {
                changed.wait(lock);
            } catch (weft::cancelled const&) {
                locked = mutex.owned() && lock.owns_lock();
                throw;
            }
        });
        weft::this_fiber::yield();
        mutex.lock();
        waiter.cancel();
        weft::this_fiber::yield();
        BOOST_TEST(!waiter.done()); // it waits for the lock
        mutex.unlock();
        BOOST_CHECK_THROW(waiter.get(), weft::fiber_cancelled);
        BOOST_TEST(locked);
        // A cancelled fiber doesn't even let go of the lock.
        weft::cancel_scope scope;
        scope.cancel();
        std::unique_lock lock(mutex);
        BOOST_CHECK_THROW(changed.wait(lock), weft::cancelled);
        BOOST_TEST(mutex.owned());
    });
}

BOOST_AUTO_TEST_CASE(a_notification_before_the_cancellation_counts) {
    weft::run([] {
        weft::mutex mutex;
        weft::condition_variable changed;
        auto waiter = weft::spawn([&] {
            std::unique_lock lock(mutex);
            return changed.wait_for(lock, 1h) == std::cv_status::no_timeout;
        });
        weft::this_fiber::yield();
        changed.notify_one();
        waiter.cancel();
        BOOST_TEST(waiter.try_get().value());
    });
}

BOOST_AUTO_TEST_CASE(an_unlock_that_throws_ends_the_wait_before_it_begins) {
    weft::run([] {
        struct refusing {
            weft::condition_variable& notified;
            bool notify;
            void lock() {}
            void unlock() {
                if (notify)
                    notified.notify_one();
                throw std::runtime_error("no");
            }
        };
        weft::condition_variable changed;
        for (bool const notify : {false, true}) {
            refusing lock{changed, notify};
            BOOST_CHECK_THROW(changed.wait(lock), std::runtime_error);
            weft::this_fiber::yield();
        }
        std::thread([&] {
            for (bool const notify : {false, true}) {
                refusing lock{changed, notify};
                BOOST_CHECK_THROW(changed.wait(lock), std::runtime_error);
            }
        }).join();
        changed.notify_all(); // nobody is left in line
    });
}

BOOST_AUTO_TEST_CASE(no_notification_is_lost_in_any_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        permits two(2);
        int inside = 0;
        chance.run(6, [&](unsigned) {
            for (int i = 0; i < 3; ++i) {
                chance.pause();
                if (chance.one_in(3)) {
                    auto const deadline = chance.soon();
                    if (!two.take_until(deadline)) {
                        require(weft::clock::now() >= deadline, "gave up before the deadline");
                        continue;
                    }
                } else {
                    two.take();
                }
                require(++inside <= 2, "more are inside than may be");
                chance.yield();
                chance.yield();
                --inside;
                two.give();
            }
        });
        require(two.free == 2, "a permit was lost, or made");
    });
}

// Without a predicate, there are exactly as many returns as notifications that reach somebody, and in order.
BOOST_AUTO_TEST_CASE(every_notification_wakes_one_in_turn) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        weft::mutex mutex;
        weft::condition_variable changed;
        support::line all(0);
        notifications made(all);
        bool lost = false;
        unsigned const count = 5;
        unsigned ended = 0;
        chance.run(
            count,
            [&](unsigned) {
                struct counter {
                    unsigned& ended;
                    ~counter() { ++ended; }
                } const at_end{ended};
                for (int i = 0; i < 2; ++i) {
                    std::unique_lock lock(mutex);
                    bool const timed = chance.one_in(3);
                    auto const deadline = timed ? chance.soon() : weft::never;
                    auto const place = made.arrive();
                    auto why = std::cv_status::timeout;
                    try {
                        why = changed.wait_until(lock, deadline);
                    } catch (...) {
                        made.gave_up(place);
                        require(mutex.owned(), "cancelled, without the lock");
                        throw;
                    }
                    require(mutex.owned(), "it returned without the lock");
                    if (why == std::cv_status::timeout) {
                        require(weft::clock::now() >= deadline, "gave up before the deadline");
                        made.gave_up(place);
                    } else {
                        made.got(place);
                    }
                    chance.yield();
                }
            },
            [&] {
                while (ended < count) {
                    made.add();
                    changed.notify_one();
                    auto const then = weft::clock::now();
                    chance.pause();
                    // Time passes only when nobody can run.
                    lost = lost || (weft::clock::now() != then && !made.all_heard());
                    weft::this_fiber::yield();
                }
            });
        require(!lost, "a notification was lost");
    });
}

BOOST_AUTO_TEST_CASE(no_notification_is_lost_between_workers_and_threads) {
    permits three(3);
    std::atomic<int> inside = 0;
    support::everywhere(4, [&](weft::testing::random& draw) {
        for (unsigned i = 0; i < support::rounds_everywhere; ++i)
            support::maybe_cancelled(draw, [&] {
                if (draw.below(3) == 0) {
                    if (!three.take_until(weft::clock::now() + std::chrono::microseconds(draw.below(50))))
                        return;
                } else {
                    three.take();
                }
                require(++inside <= 3, "more are inside than may be");
                if (draw.below(4) == 0)
                    weft::this_fiber::yield();
                --inside;
                three.give();
            });
    });
    BOOST_TEST(three.free == 3);
}
