// spinlock: guards the few instructions in which a fiber or thread puts itself on a waiting list.
//
// Never held across a switch, a system call or user code, so a fiber can't find it held by another fiber of its own
// worker: whoever waits here waits for another thread, briefly.
#pragma once

#include <atomic>

namespace weft::detail {

class spinlock {
public:
    void lock() noexcept {
        while (taken_.exchange(true, std::memory_order_acquire))
            wait();
    }

    bool try_lock() noexcept {
        return !taken_.load(std::memory_order_relaxed) && !taken_.exchange(true, std::memory_order_acquire);
    }

    void unlock() noexcept { taken_.store(false, std::memory_order_release); }

private:
    void wait() const noexcept;

    std::atomic<bool> taken_{false};
};

} // namespace weft::detail
