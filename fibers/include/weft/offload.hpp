// offload: lets another thread do what would hold up the worker: computing, or calls that can't be waited for in another way.
//
//     auto const digest = weft::offload([&] { return sha256(file); }); // the fiber waits, the worker goes on
//
// The function runs on a thread of a pool, on no fiber; its result, or exception, comes back to the caller. When all threads are busy, calls
// wait in a queue, first in, first out; when that is full, callers wait for a place in it (backpressure).
//
// Cancelling the caller:
//   - A call that no thread has begun is taken back: weft::cancelled, and the function is never called.
//   - One that has begun can't be ended from outside. Its stop token is told; a function that takes a std::stop_token, or asks
//     this_fiber::stop_requested() or check_cancelled(), may end sooner. The caller waits for it all the same, as the function may refer to
//     what is the caller's; what it returns, or throws, counts.
//   - With offload_options::abandon_on_cancel, the caller doesn't wait: weft::cancelled at once. The function runs on, and whatever it refers
//     to must be its own.
//
// In the function, this_fiber::name() and deadline() are the caller's: the deadline of the scopes around the call.
//
// On a thread that is no worker, offload calls the function itself.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>

#include <weft/clock.hpp>
#include <weft/detail/fiber_core.hpp>
#include <weft/detail/offload.hpp>
#include <weft/event.hpp>
#include <weft/result.hpp>

namespace weft {

class offload_pool;
class semaphore;

struct offload_options {
    // Don't wait for a function that has begun, when the caller is cancelled. It must own all that it uses.
    bool abandon_on_cancel = false;

    // Which threads; null: the process's own pool, of 32 threads and 1,024 places in the queue.
    offload_pool* pool = nullptr;
};

namespace detail {

struct worker_link;

// A call. It is the one's that waits for it, until that one abandons it; then it is the thread's.
class offloaded_task : public pool_job {
public:
    offloaded_task();
    virtual ~offloaded_task() = default;
    offloaded_task(offloaded_task const&) = delete;
    offloaded_task& operator=(offloaded_task const&) = delete;

    // The caller's, as the thread is to know them.
    char const* name() const noexcept { return name_; }
    time_point deadline() const noexcept { return deadline_; }
    std::stop_source& stop() noexcept { return stop_; }

    // Calls the function, and keeps what it returns or throws.
    virtual void call() noexcept = 0;

private:
    friend void make_elsewhere(std::unique_ptr<offloaded_task>& task, offload_options const& options);

    enum class stage : std::uint8_t { awaited, abandoned, ended };

    void make_on_thread() noexcept;

    std::atomic<stage> stage_{stage::awaited};
    event ended_{"offloaded call"};
    semaphore* places_ = nullptr;            // of which it has one
    std::shared_ptr<worker_link> abandoner_; // the worker of who has abandoned it
    char name_[fiber_core::name_capacity];
    time_point deadline_;
    std::stop_source stop_;
};

template <class F> decltype(auto) call_with_stop(F& function, std::stop_token const& stop) {
    if constexpr (std::is_invocable_v<F&, std::stop_token>)
        return function(stop);
    else
        return function();
}

template <class F> class offloaded_task_of final : public offloaded_task {
public:
    using result_type = decltype(call_with_stop(std::declval<F&>(), std::stop_token()));

    explicit offloaded_task_of(F function) : function_(std::in_place, std::move(function)) {}

    void call() noexcept override {
        try {
            if constexpr (std::is_void_v<result_type>) {
                call_with_stop(*function_, stop().get_token());
                outcome.emplace(std::in_place);
            } else {
                outcome.emplace(std::in_place, call_with_stop(*function_, stop().get_token()));
            }
        } catch (...) {
            outcome.emplace(std::current_exception());
        }
        function_.reset(); // what it holds ends with the call
    }

    std::optional<result<result_type>> outcome; // valid once ended

private:
    std::optional<F> function_;
};

// The call that this thread makes; null if none. Says nothing of fibers: where no thread is to be had, one of them makes the call.
extern __thread offloaded_task* current_offload;

// Until it has been made. Throws weft::cancelled, if it was taken back, or abandoned, which empties `task`.
void make_elsewhere(std::unique_ptr<offloaded_task>& task, offload_options const& options);

} // namespace detail

// Threads of one's own: for work that is not to wait behind other work, or is to have a limit of its own.
class offload_pool {
public:
    struct options {
        std::size_t threads = 32; // so many at most; from 1 to 1024
        std::size_t queue = 1024; // calls that wait for a thread, at most 1,000,000; more wait for a place
        std::size_t stack_size = 8 << 20;  // of a thread, in bytes
        char const* name = "offload pool"; // for messages and reports; a string literal
    };

    // Throws std::invalid_argument for options out of range. Threads are started when they are needed.
    offload_pool() : offload_pool(options{}) {}
    explicit offload_pool(options const& wanted);
    offload_pool(offload_pool const&) = delete;
    offload_pool& operator=(offload_pool const&) = delete;
    // Waits for calls that were abandoned.
    ~offload_pool();

    template <class F> decltype(auto) offload(F&& function);

private:
    friend void detail::make_elsewhere(std::unique_ptr<detail::offloaded_task>& task,
                                       offload_options const& options);

    struct state;
    std::unique_ptr<state> const state_;
};

// Throws what the function throws; weft::cancelled, as said above; std::bad_alloc.
template <class F> decltype(auto) offload(offload_options const& options, F&& function) {
    using task = detail::offloaded_task_of<std::decay_t<F>>;
    auto* const made = new task(std::decay_t<F>(std::forward<F>(function)));
    std::unique_ptr<detail::offloaded_task> owner(made);
    detail::make_elsewhere(owner, options);
    return std::move(*made->outcome).value();
}
template <class F> decltype(auto) offload(F&& function) {
    return offload(offload_options{}, std::forward<F>(function));
}

template <class F> decltype(auto) offload_pool::offload(F&& function) {
    return weft::offload({.abandon_on_cancel = false, .pool = this}, std::forward<F>(function));
}

} // namespace weft
