// primitives_boost: Boost.Fiber's side of tools/bench/primitives, as it comes: round_robin, one thread.
//
// Stacks are from its pool, without guards, and new fibers are dispatched, that is run at once: both make its spawn cheaper than its
// defaults do. It has no semaphore, so this has what its users write; and no timers that one could arm and cancel.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include <boost/fiber/all.hpp>
#include <boost/version.hpp>

#include "primitives.hpp"

namespace {

using primitives::expect;
using primitives::stopwatch;

// Shared, as its copies are: each has the same pool.
boost::fibers::pooled_fixedsize_stack& stacks() {
    static boost::fibers::pooled_fixedsize_stack all;
    return all;
}

template <class F> boost::fibers::fiber spawn(boost::fibers::launch how, F&& function) {
    return {how, std::allocator_arg, stacks(), std::forward<F>(function)};
}

class semaphore {
public:
    void acquire() {
        std::unique_lock lock(mutex_);
        released_.wait(lock, [this] { return permits_ > 0; });
        --permits_;
    }
    void release() {
        {
            std::scoped_lock const lock(mutex_);
            ++permits_;
        }
        released_.notify_one();
    }

private:
    boost::fibers::mutex mutex_;
    boost::fibers::condition_variable released_;
    long permits_ = 0; // guarded by mutex_
};

[[gnu::noinline]] void take_turns(primitives::turns& turns, int who, long count) {
    for (long i = 0; i < count; ++i) {
        turns.take(who);
        boost::this_fiber::yield();
    }
}

void yields(long count, stopwatch& watch) {
    primitives::turns turns;
    watch.start();
    auto other = spawn(boost::fibers::launch::post, [&] { take_turns(turns, 2, count / 2); });
    take_turns(turns, 1, count / 2);
    other.join();
    watch.stop();
    turns.expect_alternation(count);
}

void spawns(long count, stopwatch& watch) {
    long ran = 0;
    watch.start();
    for (long i = 0; i < count; ++i)
        spawn(boost::fibers::launch::dispatch, [&ran] { ++ran; }).join();
    watch.stop();
    expect(ran == count, "not every fiber ran");
}

void round_trips(long count, stopwatch& watch) {
    semaphore there;
    semaphore back;
    long served = 0;
    long in_order = 0;
    auto other = spawn(boost::fibers::launch::post, [&] {
        for (long i = 0; i < count; ++i) {
            there.acquire();
            ++served;
            back.release();
        }
    });
    watch.start();
    for (long i = 1; i <= count; ++i) {
        there.release();
        back.acquire();
        in_order += served == i ? 1 : 0;
    }
    watch.stop();
    other.join();
    expect(in_order == count, "a round trip came back early");
}

template <class Channel> void hand_over(Channel& items, long count, stopwatch& watch) {
    auto producer = spawn(boost::fibers::launch::post, [&] {
        for (long i = 1; i <= count; ++i)
            items.push(static_cast<int>(i));
        items.close();
    });
    std::int64_t sum = 0;
    watch.start();
    for (int item = 0; items.pop(item) == boost::fibers::channel_op_status::success;)
        sum += item;
    watch.stop();
    producer.join();
    primitives::expect_sum(count, sum);
}

void locks(long count, stopwatch& watch) {
    boost::fibers::mutex mutex;
    long held = 0;
    watch.start();
    for (long i = 0; i < count; ++i) {
        mutex.lock();
        ++held;
        mutex.unlock();
    }
    watch.stop();
    expect(held == count, "not every lock was held");
}

constexpr primitives::step steps[] = {
    {"yield", yields},
    {"spawn", spawns},
    {"semaphore", round_trips},
    {"rendezvous",
     [](long count, stopwatch& watch) {
         boost::fibers::unbuffered_channel<int> items;
         hand_over(items, count, watch);
     }},
    {"buffered",
     [](long count, stopwatch& watch) {
         boost::fibers::buffered_channel<int> items(64); // a power of two is asked for; one place stays empty
         hand_over(items, count, watch);
     }},
    {"mutex", locks},
    {"mutex-threads",
     [](long count, stopwatch& watch) {
         primitives::idle_thread const second;
         locks(count, watch);
     }},
};

} // namespace

int main(int argc, char** argv) {
    return primitives::run("Boost.Fiber " BOOST_LIB_VERSION, steps, argc, argv);
}
