// ready_queue: the fibers of one worker that can run, first in, first out.
#pragma once

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

class ready_queue {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }

    void push(fiber_core& fiber) noexcept {
        fiber.next_ready = nullptr;
        (head_ != nullptr ? tail_->next_ready : head_) = &fiber;
        tail_ = &fiber;
    }

    // The one after it is fetched into the cache meanwhile: fibers lie far apart, each on pages of its own, and what
    // a switch waits for is memory.
    fiber_core& pop() noexcept {
        fiber_core& first = *head_;
        head_ = first.next_ready;
        if (head_ != nullptr)
            prefetch(*head_);
        return first;
    }

private:
    static void prefetch(fiber_core const& fiber) noexcept {
        __builtin_prefetch(fiber.next_ready);
        __builtin_prefetch(fiber.context);
        constexpr std::ptrdiff_t line = 64;
        constexpr std::ptrdiff_t lines_below = 3; // the registers that the context switch pushed
        constexpr std::ptrdiff_t lines_above = 8; // the calls that led to the wait
        for (std::ptrdiff_t i = -lines_below; i < lines_above; ++i)
            __builtin_prefetch(fiber.frame + i * line);
    }

    fiber_core* head_ = nullptr;
    fiber_core* tail_ = nullptr; // valid unless empty
};

} // namespace weft::detail
