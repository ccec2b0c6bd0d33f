// shared_mutex: readers together, writers alone, all in turn.
#include <atomic>
#include <chrono>
#include <csignal>
#include <deque>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <system_error>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/shared_mutex.hpp>
#include <weft/testing/virtual_clock.hpp>
#include <weft/this_fiber.hpp>

#include "support/child.hpp"
#include "support/disturbance.hpp"
#include "support/everywhere.hpp"
#include "support/messages.hpp"
#include "support/require.hpp"
#include "support/short_lived.hpp"

namespace {

using namespace std::chrono_literals;
using support::require;
using support::says;

// Who is in, and who waits: where a reader and a writer meet in line, the one behind is in only if the one ahead has given up.
class model {
public:
    enum class kind { reader, writer };

    std::size_t arrive(kind what) {
        places_.push_back({.what = what});
        return places_.size() - 1;
    }
    void gave_up(std::size_t place) { places_[place].open = false; }
    void got(std::size_t place) {
        arrival& mine = places_[place];
        require(!mine.must_give_up, "somebody was overtaken");
        mine.open = false;
        for (std::size_t ahead = 0; ahead < place; ++ahead)
            if (places_[ahead].open && (mine.what == kind::writer || places_[ahead].what == kind::writer))
                places_[ahead].must_give_up = true;
        (mine.what == kind::writer ? writers_ : readers_) += 1;
        require(writers_ == 0 || (writers_ == 1 && readers_ == 0), "a writer is not alone");
    }
    void left(kind what) { (what == kind::writer ? writers_ : readers_) -= 1; }

private:
    struct arrival {
        kind what;
        bool open = true;
        bool must_give_up = false;
    };

    std::deque<arrival> places_;
    int readers_ = 0;
    int writers_ = 0;
};

// How to take it: for std::unique_lock or std::shared_lock.
template <class Lock> bool take(support::disturbance& chance, Lock& lock) {
    switch (chance.below(4)) {
    case 0: return lock.try_lock();
    case 1: {
        auto const deadline = chance.soon();
        bool const got = lock.try_lock_until(deadline);
        require(got || weft::clock::now() >= deadline, "gave up before the deadline");
        return got;
    }
    default: lock.lock(); return true;
    }
}

template <class Lock>
void use(support::disturbance& chance, model& all, model::kind what, weft::shared_mutex& mutex) {
    Lock lock(mutex, std::defer_lock);
    auto const place = all.arrive(what);
    bool got = false;
    try {
        got = take(chance, lock);
    } catch (...) {
        all.gave_up(place);
        throw;
    }
    if (!got) {
        all.gave_up(place);
        return;
    }
    all.got(place);
    chance.yield();
    chance.yield();
    all.left(what);
}

} // namespace

BOOST_AUTO_TEST_CASE(readers_come_together_and_writers_alone_in_order) {
    weft::run([] {
        weft::shared_mutex mutex;
        std::string order;
        std::vector<weft::fiber<>> fibers;
        auto const reader = [&](char name) {
            fibers.push_back(weft::spawn([&, name] {
                std::shared_lock const lock(mutex);
                order += name;
                weft::this_fiber::yield();
                order += ')';
            }));
        };
        auto const writer = [&](char name) {
            fibers.push_back(weft::spawn([&, name] {
                std::unique_lock const lock(mutex);
                order += name;
                weft::this_fiber::yield();
                order += ')';
            }));
        };
        mutex.lock();
        reader('a');
        reader('b');
        writer('W');
        reader('c');
        reader('d');
        writer('X');
        weft::this_fiber::yield();
        mutex.unlock();
        BOOST_TEST(!mutex.try_lock());
        BOOST_TEST(!mutex.try_lock_shared()); // a writer waits
        fibers.clear();
        BOOST_TEST(order == "ab))W)cd))X)");
        BOOST_TEST(mutex.try_lock_shared());
        BOOST_TEST(mutex.try_lock_shared());
        mutex.unlock_shared();
        mutex.unlock_shared();
    });
}

BOOST_AUTO_TEST_CASE(a_writer_that_gives_up_lets_the_readers_behind_it_in) {
    for (bool const by_cancelling : {false, true}) {
        weft::testing::virtual_clock const clock;
        weft::run([&] {
            weft::shared_mutex mutex;
            mutex.lock_shared();
            auto writer = weft::spawn([&] { return mutex.try_lock_for(by_cancelling ? 1h : 1ms); });
            weft::this_fiber::yield();
            auto reader = weft::spawn([&] {
                std::shared_lock const lock(mutex);
                return weft::clock::now();
            });
            weft::this_fiber::yield();
            BOOST_TEST(!reader.done());
            if (by_cancelling) {
                writer.cancel();
                BOOST_CHECK_THROW(writer.get(), weft::fiber_cancelled);
            } else {
                BOOST_TEST(!writer.get());
            }
            reader.join();
            BOOST_TEST((clock.elapsed() == (by_cancelling ? 0ms : 1ms)));
            mutex.unlock_shared();
        });
    }
}

BOOST_AUTO_TEST_CASE(misuse_names_the_mutex_and_the_writer) {
    weft::run([] {
        using std::errc;
        weft::shared_mutex mutex("table");
        BOOST_TEST(mutex.name() == std::string("table"));
        BOOST_CHECK_EXCEPTION(
            mutex.unlock(), std::system_error,
            says(errc::operation_not_permitted, "weft::shared_mutex \"table\": unlocked by"));
        BOOST_CHECK_EXCEPTION(mutex.unlock_shared(), std::system_error,
                              says(errc::operation_not_permitted, "but nobody holds it so"));
        mutex.lock_shared();
        BOOST_CHECK_EXCEPTION(mutex.unlock(), std::system_error,
                              says(errc::operation_not_permitted, "but nobody holds it for writing"));
        mutex.unlock_shared();
        mutex.lock();
        BOOST_CHECK_EXCEPTION(
            mutex.lock(), std::system_error,
            says(errc::resource_deadlock_would_occur, "locked again by its writer, thread"));
        BOOST_CHECK_EXCEPTION(mutex.lock_shared(), std::system_error,
                              says(errc::resource_deadlock_would_occur, "\"table\""));
        BOOST_CHECK_EXCEPTION(mutex.unlock_shared(), std::system_error, says("unlocked for reading"));
        weft::spawn([&] {
            BOOST_CHECK_EXCEPTION(mutex.unlock(), std::system_error, says(", but thread"));
        }).join();
        mutex.unlock();
        BOOST_TEST(mutex.holder() == 0);
    });
}

BOOST_AUTO_TEST_CASE(to_destroy_a_held_one_ends_the_program) {
    for (bool const writing : {false, true}) {
        auto const result = support::in_child([writing] {
            weft::run([writing] {
                auto const mutex = std::make_unique<weft::shared_mutex>("table");
                writing ? mutex->lock() : mutex->lock_shared();
            });
            return 0;
        });
        BOOST_TEST(result.killed_by(SIGABRT));
        BOOST_TEST(result.errors.find("weft::shared_mutex \"table\": destroyed while ") != std::string::npos,
                   result.errors);
    }
}

BOOST_AUTO_TEST_CASE(taking_without_a_wait_is_not_cancelled) {
    weft::run([] {
        weft::shared_mutex mutex;
        weft::cancel_scope scope;
        scope.cancel();
        { std::shared_lock const lock(mutex); }
        std::unique_lock const lock(mutex);
        auto other = weft::spawn([&] { BOOST_TEST(!mutex.try_lock_shared_for(1ms)); });
        while (!other.done())
            weft::this_fiber::yield();
    });
}

BOOST_AUTO_TEST_CASE(holds_in_every_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        weft::shared_mutex mutex;
        support::disturbance chance(draw);
        model all;
        chance.run(6, [&](unsigned) {
            for (int i = 0; i < 4; ++i) {
                chance.pause();
                if (chance.one_in(3))
                    use<std::unique_lock<weft::shared_mutex>>(chance, all, model::kind::writer, mutex);
                else
                    use<std::shared_lock<weft::shared_mutex>>(chance, all, model::kind::reader, mutex);
            }
        });
        require(mutex.try_lock(), "it is held by one that has gone");
        mutex.unlock();
    });
}

BOOST_AUTO_TEST_CASE(holds_between_workers_and_threads) {
    weft::shared_mutex mutex;
    std::atomic<int> readers = 0;
    std::atomic<int> writers = 0;
    support::everywhere(4, [&](weft::testing::random& draw) {
        auto const us = [&] { return std::chrono::microseconds(draw.below(50)); };
        for (unsigned i = 0; i < support::rounds_everywhere; ++i)
            support::maybe_cancelled(draw, [&] {
                if (draw.below(3) == 0) {
                    std::unique_lock lock(mutex, std::defer_lock);
                    if (draw.below(2) == 0 ? !lock.try_lock_for(us()) : (lock.lock(), false))
                        return;
                    require(++writers == 1 && readers == 0, "a writer is not alone");
                    if (draw.below(4) == 0)
                        weft::this_fiber::yield();
                    --writers;
                } else {
                    std::shared_lock lock(mutex, std::defer_lock);
                    if (draw.below(2) == 0 ? !lock.try_lock_for(us()) : (lock.lock(), false))
                        return;
                    ++readers;
                    require(writers == 0, "a reader is with a writer");
                    if (draw.below(4) == 0)
                        weft::this_fiber::yield();
                    --readers;
                }
            });
    });
    BOOST_TEST(mutex.try_lock());
    mutex.unlock();
}

// As a mutex.
BOOST_AUTO_TEST_CASE(may_end_as_soon_as_it_was_handed_over) {
    support::short_lived_lock([] { return std::make_unique<weft::shared_mutex>(); });
}
