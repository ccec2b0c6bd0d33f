// inbox: messages for a worker, from any thread, in the order in which each thread sent them.
//
// Multiple producers, one consumer (the worker), lock-free: producers push on a stack with one exchange, the
// consumer takes the whole stack and turns it round.
#pragma once

#include <atomic>

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

class inbox {
public:
    // Any thread.
    void push(inbox_message& message) noexcept;

    // The worker's thread; a producer that has pushed before a sequentially consistent store seen here is seen.
    [[nodiscard]] bool empty() const noexcept { return top_.load(std::memory_order_seq_cst) == nullptr; }

    // The worker's thread: forgets what is there.
    void clear() noexcept { top_.store(nullptr, std::memory_order_relaxed); }

    // The worker's thread: delivers what is there.
    void deliver() noexcept;

private:
    std::atomic<inbox_message*> top_{nullptr};
};

} // namespace weft::detail
