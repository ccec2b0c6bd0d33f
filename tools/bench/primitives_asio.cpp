// primitives_asio: the side of Asio's C++20 coroutines in tools/bench/primitives. One io_context, which is told that one thread runs it.
//
// Awaitables, channels and timers name that context's executor instead of any_io_executor, and what is awaited is `deferred`,
// which needs no coroutine of its own: both are cheaper than the defaults. It has neither mutex nor semaphore.
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/version.hpp>

#include "primitives.hpp"

namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using primitives::expect;
using primitives::stopwatch;

using executor = asio::io_context::executor_type;
template <class T = void> using task = asio::awaitable<T, executor>;
using channel = asio::experimental::channel<executor, void(error_code, int)>;
using timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, executor>;

// One for the warm-up and what is measured, as its lists of timers and memory are part of what gets warm.
asio::io_context& context() {
    static asio::io_context one(1);
    return one;
}

// Runs `main` and all that it starts.
void run(task<> main) {
    asio::co_spawn(context(), std::move(main), [](std::exception_ptr failure) {
        if (failure)
            std::rethrow_exception(failure);
    });
    context().run();
    context().restart();
}

task<> take_turns(primitives::turns& turns, int who, long count) {
    for (long i = 0; i < count; ++i) {
        turns.take(who);
        co_await asio::post(context(), asio::deferred);
    }
}

void yields(long count, stopwatch& watch) {
    primitives::turns turns;
    watch.start();
    asio::co_spawn(context(), take_turns(turns, 2, count / 2), [](std::exception_ptr) {});
    run(take_turns(turns, 1, count / 2));
    watch.stop();
    turns.expect_alternation(count);
}

task<> increment(long& ran) {
    ++ran;
    co_return;
}

task<> spawn_each(long count, long& ran) {
    for (long i = 0; i < count; ++i)
        co_await asio::co_spawn(context(), increment(ran), asio::deferred);
}

void spawns(long count, stopwatch& watch) {
    long ran = 0;
    watch.start();
    run(spawn_each(count, ran));
    watch.stop();
    expect(ran == count, "not every coroutine ran");
}

// What is possible at once is done at once: async_send and async_receive go through the context's queue even then, which took 2
// times as long without a buffer and 15 times with one. The consumer counts, as close() drops what the buffer still holds (1.81).
task<> produce(channel& items, long count) {
    for (long i = 1; i <= count; ++i)
        if (!items.try_send(error_code(), static_cast<int>(i)))
            co_await items.async_send(error_code(), static_cast<int>(i), asio::deferred);
}

task<> consume(channel& items, long count, std::int64_t& sum) {
    auto const add = [&sum](error_code, int item) { sum += item; };
    for (long i = 0; i < count; ++i)
        if (!items.try_receive(add))
            sum += co_await items.async_receive(asio::deferred);
}

void hand_over(long count, std::size_t capacity, stopwatch& watch) {
    channel items(context().get_executor(), capacity);
    std::int64_t sum = 0;
    watch.start();
    asio::co_spawn(context(), produce(items, count), [](std::exception_ptr) {});
    run(consume(items, count, sum));
    watch.stop();
    primitives::expect_sum(count, sum);
}

// The handlers of cancelled waits are part of the cost: they have to run before the timers' memory is free.
void timers(long count, primitives::order order, stopwatch& watch) {
    auto const deadlines = primitives::deadlines(count, order);
    std::vector<std::optional<timer>> timers(deadlines.size());
    long cancelled = 0;
    watch.start();
    for (std::size_t i = 0; i < timers.size(); ++i) {
        timers[i].emplace(context().get_executor(), deadlines[i]);
        timers[i]->async_wait([&cancelled](error_code failure) {
            cancelled += failure == asio::error::operation_aborted ? 1 : 0;
        });
    }
    for (auto& one : timers)
        one->cancel();
    context().run();
    watch.stop();
    context().restart();
    expect(cancelled == count, "not every timer was cancelled");
}

constexpr primitives::step steps[] = {
    {"yield", yields},
    {"spawn", spawns},
    {"rendezvous", [](long count, stopwatch& watch) { hand_over(count, 0, watch); }},
    {"buffered", [](long count, stopwatch& watch) { hand_over(count, 64, watch); }},
    {"timers", [](long count, stopwatch& watch) { timers(count, primitives::order::rising, watch); }},
    {"timers-random", [](long count, stopwatch& watch) { timers(count, primitives::order::random, watch); }},
};

} // namespace

int main(int argc, char** argv) { return primitives::run("Asio " BOOST_LIB_VERSION, steps, argc, argv); }
