// thread_pool: threads that do jobs, started as they are needed, up to a limit. Jobs beyond that wait, first in, first out.
//
// The threads block all signals. One that has nothing to do for some seconds ends. If none can be started, and there is none, the job is done on
// the submitting thread. In the child of a fork, the jobs that were there are gone.
//
// Threads: any.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <weft/detail/offload.hpp>
#include <weft/detail/spinlock.hpp>

namespace weft::detail {

class thread_pool {
public:
    // `stack`: of a thread, in bytes.
    thread_pool(std::size_t most_threads, std::size_t stack) noexcept;
    thread_pool(thread_pool const&) = delete;
    thread_pool& operator=(thread_pool const&) = delete;
    // No job is there any more. Waits for the threads, blocking the calling one, which they don't hold up for long.
    ~thread_pool();

    // Calls job.make(job) on one of its threads. After that, the pool doesn't touch the job.
    void submit(pool_job& job) noexcept;

    // Takes back a job that no thread has begun; false if one has.
    [[nodiscard]] bool withdraw(pool_job& job) noexcept;

    // Another one in the child of a fork.
    [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }

private:
    friend struct pool_registry;

    void serve() noexcept;
    [[nodiscard]] pool_job* take_first() noexcept;
    [[nodiscard]] bool start_thread() noexcept;
    void thread_failed() noexcept;
    void announce(int most) noexcept;
    void start_over() noexcept;

    std::size_t const most_threads_;
    std::size_t const stack_;
    thread_pool* next_pool_ = nullptr; // of all, for forks
    std::uint64_t generation_ = 0;

    spinlock lock_; // guards the rest, unless it says otherwise
    pool_job* first_ = nullptr;
    pool_job* last_ = nullptr; // valid unless empty
    std::size_t queued_ = 0;
    std::size_t idle_ = 0;
    std::size_t threads_ = 0;
    bool ending_ = false;
    std::atomic<std::uint32_t> announced_{0}; // any thread
    std::atomic<std::uint32_t> gone_{0};      // any thread: no thread is left, and it is ending
};

} // namespace weft::detail
