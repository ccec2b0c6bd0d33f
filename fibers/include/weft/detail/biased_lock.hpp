// biased_lock: a spinlock that costs its first user's worker next to nothing.
//
// A semaphore or mutex is mostly used by the fibers of one worker, which can't interrupt each other; yet it must work across
// workers. An atomic exchange costs as much as all the rest of an acquire. So the first worker that locks is *favoured*: it says that
// it is inside by a plain store, and looks whether it still is the favoured one. Anybody else who comes ends that for good:
//   1. it takes `taken_`, then writes `favoured_ = shared`;
//   2. it has the kernel run a barrier on every thread of the process (membarrier(2)): from here on, either the favoured
//      worker has seen 1., or its `inside_` can be seen;
//   3. it waits until `inside_` is false.
// From then on the lock is an ordinary spinlock. That takes some microseconds, once in the lock's life.
//
// As spinlock: held for a few instructions, never across a switch, a system call or user code.
#pragma once

#include <atomic>

#include <weft/detail/spinlock.hpp>

namespace weft::detail {

class worker;

// The calling thread's worker, also while no fiber runs; null if the thread is none.
extern __thread worker* this_worker __attribute__((tls_model("initial-exec")));

class biased_lock {
public:
    void lock() noexcept {
        worker const* const self = this_worker;
        if (favoured_.load(std::memory_order_relaxed) == self && self != nullptr) {
            inside_.store(true, std::memory_order_relaxed);
            std::atomic_signal_fence(std::memory_order_seq_cst);
            if (favoured_.load(std::memory_order_relaxed) == self) [[likely]] {
                by_favour_ = true;
                return;
            }
            inside_.store(false, std::memory_order_release);
        }
        lock_slowly(self);
    }

    void unlock() noexcept {
        if (by_favour_)
            inside_.store(false, std::memory_order_release);
        else
            taken_.unlock();
    }

private:
    void lock_slowly(worker const* self) noexcept;

    std::atomic<worker const*> favoured_{nullptr}; // null: nobody came yet; shared: nobody any more
    std::atomic<bool> inside_{false};              // written by the favoured worker
    bool by_favour_ = false;                       // the holder's
    spinlock taken_;                               // of all others
};

} // namespace weft::detail
