// primitives_weft: weft's side of tools/bench/primitives.
#include <cstdint>
#include <optional>
#include <vector>

#include <weft/channel.hpp>
#include <weft/fiber.hpp>
#include <weft/mutex.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>
#include <weft/timer.hpp>

#include "primitives.hpp"

namespace {

using primitives::expect;
using primitives::stopwatch;

[[gnu::noinline]] void take_turns(primitives::turns& turns, int who, long count) {
    for (long i = 0; i < count; ++i) {
        turns.take(who);
        weft::this_fiber::yield();
    }
}

void yields(long count, stopwatch& watch) {
    primitives::turns turns;
    watch.start();
    auto other = weft::spawn([&] { take_turns(turns, 2, count / 2); });
    take_turns(turns, 1, count / 2);
    other.join();
    watch.stop();
    turns.expect_alternation(count);
}

void spawns(long count, stopwatch& watch) {
    long ran = 0;
    watch.start();
    for (long i = 0; i < count; ++i)
        weft::spawn([&ran] { ++ran; }).join();
    watch.stop();
    expect(ran == count, "not every fiber ran");
}

void round_trips(long count, stopwatch& watch) {
    weft::semaphore there(0);
    weft::semaphore back(0);
    long served = 0;
    long in_order = 0;
    auto other = weft::spawn([&] {
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

void hand_over(long count, std::size_t capacity, stopwatch& watch) {
    weft::channel<int> items(capacity);
    auto producer = weft::spawn([&] {
        for (long i = 1; i <= count; ++i)
            items.send(static_cast<int>(i));
        items.close();
    });
    std::int64_t sum = 0;
    watch.start();
    for (int const item : items)
        sum += item;
    watch.stop();
    producer.join();
    primitives::expect_sum(count, sum);
}

void locks(long count, stopwatch& watch) {
    weft::mutex mutex;
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

void timers(long count, primitives::order order, stopwatch& watch) {
    auto const deadlines = primitives::deadlines(count, order);
    std::vector<std::optional<weft::timer>> timers(deadlines.size());
    watch.start();
    for (std::size_t i = 0; i < timers.size(); ++i)
        timers[i].emplace(deadlines[i]);
    long cancelled = 0;
    for (auto& timer : timers)
        cancelled += timer->cancel() ? 1 : 0;
    watch.stop();
    expect(cancelled == count, "not every timer was armed");
}

constexpr primitives::step steps[] = {
    {"yield", yields},
    {"spawn", spawns},
    {"semaphore", round_trips},
    {"rendezvous", [](long count, stopwatch& watch) { hand_over(count, 0, watch); }},
    {"buffered", [](long count, stopwatch& watch) { hand_over(count, 64, watch); }},
    {"mutex", locks},
    {"mutex-threads",
     [](long count, stopwatch& watch) {
         primitives::idle_thread const second;
         locks(count, watch);
     }},
    {"timers", [](long count, stopwatch& watch) { timers(count, primitives::order::rising, watch); }},
    {"timers-random", [](long count, stopwatch& watch) { timers(count, primitives::order::random, watch); }},
};

} // namespace

int main(int argc, char** argv) {
    return weft::run([&] { return primitives::run("weft", steps, argc, argv); });
}
