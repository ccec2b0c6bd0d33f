// A waiter is cancelled by another worker, while a third lets it in: it is let in or cancelled, and nothing is lost between.
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include <boost/test/unit_test.hpp>

#include <weft/channel.hpp>
#include <weft/condition_variable.hpp>
#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/latch.hpp>
#include <weft/mutex.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/select.hpp>
#include <weft/semaphore.hpp>
#include <weft/shared_mutex.hpp>
#include <weft/this_fiber.hpp>

#include "support/memory.hpp"
#include "support/options.hpp"
#include "support/require.hpp"

namespace {

using support::require;

constexpr int rounds = support::sanitized ? 500 : 3000;

// wait() on a fiber of worker 0, which worker 1 cancels, and let_in() on worker 2, or a plain thread, all at once. Then look(in): whether
// wait() has returned, or was cancelled.
template <class Wait, class LetIn, class Look> void race(Wait&& wait, LetIn&& let_in, Look&& look) {
    weft::run(
        [&] {
            for (int i = 0; i < rounds; ++i) {
                weft::latch both(2);
                auto waiter = weft::spawn([&] {
                    wait();
                    return true;
                });
                weft::this_fiber::yield(); // it waits
                weft::post(1, [&] {
                    waiter.cancel();
                    both.count_down();
                });
                auto const other = [&, i] {
                    for (int spin = 0; spin < i % 50 * 20; ++spin)
                        std::atomic_signal_fence(std::memory_order_seq_cst);
                    let_in();
                    both.count_down();
                };
                std::optional<std::thread> thread;
                if (i % 8 == 0)
                    thread.emplace(other);
                else
                    weft::post(2, other);
                both.wait();
                look(waiter.try_get().has_value());
                if (thread)
                    thread->join();
            }
        },
        support::with_workers(3));
}

} // namespace

BOOST_AUTO_TEST_CASE(of_a_semaphore) {
    weft::semaphore permits(0);
    race([&] { permits.acquire(); }, [&] { permits.release(); },
         [&](bool in) { require(permits.try_acquire() == !in, "a permit was lost, or made"); });
}

BOOST_AUTO_TEST_CASE(of_a_channel) {
    weft::channel<int> values(1);
    race([&] { require(values.receive().value() == 1, "another value"); }, [&] { values.send(1); },
         [&](bool in) { require(values.try_receive().has_value() == !in, "a value was lost, or made"); });
}

BOOST_AUTO_TEST_CASE(of_a_channel_that_is_full) {
    weft::channel<int> values(0);
    std::optional<int> got;
    race([&] { values.send(1); }, [&] { got = values.try_receive(); },
         [&](bool in) { require(got.has_value() == in, "a value was lost, or made"); });
}

BOOST_AUTO_TEST_CASE(of_a_select) {
    weft::channel<int> one(1);
    weft::event two;
    race([&] { weft::select(weft::on_receive(one, [](auto&&) {}), weft::on_set(two, [] {})); },
         [&] { one.send(1); },
         [&](bool in) { require(one.try_receive().has_value() == !in, "a value was lost, or made"); });
}

BOOST_AUTO_TEST_CASE(of_a_condition_variable) {
    weft::mutex mutex;
    weft::condition_variable changed;
    bool ready = false;
    auto const wait = [&] {
        std::unique_lock lock(mutex);
        struct checked {
            weft::mutex& mutex;
            ~checked() {
                if (!mutex.owned())
                    std::abort();
            }
        } const at_end{mutex};
        changed.wait(lock, [&] { return ready; });
    };
    race(
        wait,
        [&] {
            std::scoped_lock const lock(mutex);
            ready = true;
            changed.notify_one();
        },
        [&](bool) {
            require(mutex.try_lock(), "it is held by one that has gone");
            ready = false;
            mutex.unlock();
        });
}

// These are held at first by who lets the waiter in.
template <class Mutex> void of_a_mutex() {
    Mutex mutex;
    weft::event held;
    weft::event waiting;
    weft::run(
        [&] {
            for (int i = 0; i < rounds; ++i) {
                weft::latch both(2);
                held.clear();
                waiting.clear();
                weft::post(2, [&] {
                    std::unique_lock lock(mutex);
                    held.set();
                    waiting.wait();
                    lock.unlock();
                    both.count_down();
                });
                held.wait();
                auto waiter = weft::spawn([&] {
                    std::scoped_lock const lock(mutex);
                    require(mutex.holder() != 0, "in, but not the owner");
                });
                weft::this_fiber::yield();
                weft::post(1, [&] {
                    waiting.set();
                    waiter.cancel();
                    both.count_down();
                });
                both.wait();
                static_cast<void>(waiter.try_get());
                require(mutex.try_lock(), "it is held by one that has gone");
                mutex.unlock();
            }
        },
        support::with_workers(3));
}

BOOST_AUTO_TEST_CASE(of_mutexes) {
    of_a_mutex<weft::mutex>();
    of_a_mutex<weft::shared_mutex>();
}
