#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>

#include <weft/detail/call_counts.hpp>
#include <weft/detail/helper_thread.hpp>
#include <weft/detail/offload.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/spinlock.hpp>

#include "futex.hpp"

namespace weft::detail {
namespace {

constexpr std::size_t most_threads = 64;
constexpr std::size_t thread_stack = std::size_t{512} * 1024; // resolvers' modules are deep
constexpr auto idle_time = std::chrono::seconds(5);

std::atomic<std::size_t> calls_out{0};

void make_and_wake(offloaded_call& call) noexcept {
    fiber_core& fiber = *call.fiber; // `call` is gone when the fiber runs
    call.make(call);
    wake(fiber, wake_cause::notified);
    calls_out.fetch_sub(1, std::memory_order_release);
}

// Threads: any. What waits here is plain threads; fibers hold the lock for a few instructions.
class offload_pool {
public:
    void submit(offloaded_call& call) noexcept {
        lock_.lock();
        (last_ != nullptr ? last_->next : first_) = &call;
        last_ = &call;
        ++queued_;
        bool const another = queued_ > idle_ && threads_ < most_threads;
        if (another)
            ++threads_;
        lock_.unlock();
        if (another && !start_thread())
            thread_failed();
        announced_.fetch_add(1, std::memory_order_release);
        futex_wake(announced_, 1);
    }

    void prepare_fork() noexcept { lock_.lock(); }
    void after_fork_in_parent() noexcept { lock_.unlock(); }

    // None of the threads is in the child, and none of the fibers that waited for them.
    void after_fork_in_child() noexcept {
        first_ = last_ = nullptr;
        queued_ = idle_ = threads_ = 0;
        lock_.unlock();
    }

private:
    void serve() noexcept {
        for (;;) {
            std::uint32_t const seen = announced_.load(std::memory_order_acquire);
            lock_.lock();
            if (offloaded_call* const call = first_) {
                first_ = call->next;
                if (first_ == nullptr)
                    last_ = nullptr;
                --queued_;
                lock_.unlock();
                make_and_wake(*call);
                continue;
            }
            ++idle_;
            lock_.unlock();
            bool const timed_out =
                futex_wait(announced_, seen, clock::now() + idle_time) == -1 && errno == ETIMEDOUT;
            std::scoped_lock const guard(lock_);
            --idle_;
            if (timed_out && first_ == nullptr) {
                --threads_;
                return;
            }
        }
    }

    bool start_thread() noexcept {
        return start_helper(
            [](void* self) -> void* {
                static_cast<offload_pool*>(self)->serve();
                return nullptr;
            },
            this, thread_stack);
    }

    // The others will come to the queue; if there are none, the caller is the one that is left.
    void thread_failed() noexcept {
        lock_.lock();
        --threads_;
        offloaded_call* all = nullptr;
        if (threads_ == 0) {
            all = first_;
            first_ = last_ = nullptr;
            queued_ = 0;
        }
        lock_.unlock();
        while (all != nullptr) {
            offloaded_call& call = *all;
            all = call.next;
            make_and_wake(call);
        }
    }

    spinlock lock_;
    offloaded_call* first_ = nullptr; // under lock_, like all the rest
    offloaded_call* last_ = nullptr;
    std::size_t queued_ = 0;
    std::size_t idle_ = 0;
    std::size_t threads_ = 0;
    std::atomic<std::uint32_t> announced_{0}; // any thread
};

offload_pool& pool() {
    static offload_pool& one = []() -> offload_pool& {
        static auto* const made = new offload_pool; // never destroyed: its threads may outlive main()
        ::pthread_atfork([] { pool().prepare_fork(); }, [] { pool().after_fork_in_parent(); },
                         [] { pool().after_fork_in_child(); });
        return *made;
    }();
    return one;
}

} // namespace

std::size_t offloaded_calls() noexcept { return calls_out.load(std::memory_order_acquire); }

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
    ++thread_counts.offloaded;
    park({.operation = operation}, never);
    return true;
}

void offload_call(offloaded_call& call, char const* operation) noexcept {
    ++thread_counts.offloaded;
    call.fiber = current_fiber;
    begin_park(*current_fiber);
    calls_out.fetch_add(1, std::memory_order_relaxed);
    pool().submit(call);
    park({.operation = operation}, never);
}

} // namespace weft::detail
