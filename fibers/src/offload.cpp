#include <atomic>
#include <cstddef>

#include <weft/detail/call_counts.hpp>
#include <weft/detail/helper_thread.hpp>
#include <weft/detail/offload.hpp>
#include <weft/detail/park.hpp>

#include "thread_pool.hpp"

namespace weft::detail {
namespace {

constexpr std::size_t most_threads = 64;
constexpr std::size_t thread_stack = std::size_t{512} * 1024; // resolvers' modules are deep

std::atomic<std::size_t> calls_out{0};

void make_and_wake(pool_job& job) noexcept {
    auto& call = static_cast<offloaded_call&>(job);
    fiber_core& fiber = *call.fiber; // `call` is gone when the fiber runs
    call.function(call);
    wake(fiber, wake_cause::notified);
}

// Who waits for a call says when it is over, so that it counts as long as the fiber may have to be woken by it.
void wait_for(char const* operation) noexcept {
    ++thread_counts.offloaded;
    park({operation}, never);
    calls_out.fetch_sub(1, std::memory_order_relaxed);
}

thread_pool& pool() {
    static auto* const one =
        new thread_pool(most_threads, thread_stack); // never destroyed: its threads may outlive main()
    return *one;
}

} // namespace

std::size_t offloaded_calls() noexcept { return calls_out.load(std::memory_order_acquire); }
void count_offloaded(int change) noexcept {
    calls_out.fetch_add(static_cast<std::size_t>(change), std::memory_order_acq_rel);
}
void forget_offloaded() noexcept { calls_out.store(0, std::memory_order_relaxed); }

bool offload_call_alone(offloaded_call& call, char const* operation) noexcept {
    call.fiber = current_fiber;
    begin_park(*current_fiber);
    auto const make = [](void* argument) -> void* {
        make_and_wake(*static_cast<offloaded_call*>(argument));
        return nullptr;
    };
    calls_out.fetch_add(1, std::memory_order_relaxed);
    if (!start_helper(make, &call, thread_stack) && cancel_park(*current_fiber)) {
        calls_out.fetch_sub(1, std::memory_order_relaxed);
        return false;
    }
    wait_for(operation);
    return true;
}

void offload_call(offloaded_call& call, char const* operation) noexcept {
    call.fiber = current_fiber;
    call.make = make_and_wake;
    begin_park(*current_fiber);
    calls_out.fetch_add(1, std::memory_order_relaxed);
    pool().submit(call);
    wait_for(operation);
}

} // namespace weft::detail
