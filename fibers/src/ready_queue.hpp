// ready_queue: the fibers of one worker that can run, first in, first out; for tests, in an order drawn by a seed.
#pragma once

#include <cstdint>

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
        if (random_ != 0) [[unlikely]]
            draw_first();
        fiber_core& first = *head_;
        head_ = first.next_ready;
        if (head_ != nullptr)
            prefetch(*head_);
        return first;
    }

    // Not first in, first out from now on. 0: it is.
    void randomize(std::uint64_t seed) noexcept { random_ = seed; }
    // A number drawn by that seed; 0: there is none.
    std::uint64_t draw() noexcept {
        random_ ^= random_ << 13U; // xorshift64
        random_ ^= random_ >> 7U;
        random_ ^= random_ << 17U;
        return random_;
    }

    void clear() noexcept { head_ = nullptr; }

private:
    // Moves one of all to the front.
    void draw_first() noexcept;

    static void prefetch(fiber_core const& fiber) noexcept {
        __builtin_prefetch(fiber.next_ready);
        __builtin_prefetch(fiber.context);
        constexpr std::uintptr_t line = 64;
        constexpr std::uintptr_t below = 3 * line; // the registers that the context switch pushed
        constexpr std::uintptr_t above = 8 * line; // the calls that led to the wait
        auto const frame = reinterpret_cast<std::uintptr_t>(fiber.frame); // null of a fiber that has not run
        for (std::uintptr_t at = frame - below; at != frame + above; at += line)
            __builtin_prefetch(reinterpret_cast<void const*>(at));
    }

    fiber_core* head_ = nullptr;
    fiber_core* tail_ = nullptr; // valid unless empty
    std::uint64_t random_ = 0;   // the generator's state; 0: none
};

} // namespace weft::detail
