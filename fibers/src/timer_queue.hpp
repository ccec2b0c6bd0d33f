// timer_queue: the deadlines of one worker's fibers.
//
// Every fiber has one timer. It is armed lazily: a park whose deadline is not earlier than where the fiber's timer
// sits leaves it there, and a wake leaves it too. A timer that comes due before its fiber's present deadline moves
// there, or leaves the queue if the fiber waits for none. So a deadline on every read costs one heap operation per
// fiber and deadline's length, not one per read.
//
// Threads: the worker's own.
#pragma once

#include <cstddef>
#include <vector>

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

class timer_queue {
public:
    // The fiber will wait until fiber.deadline. May throw std::bad_alloc.
    void arm(fiber_core& fiber) {
        if (fiber.deadline < fiber.timer_due)
            place(fiber, fiber.deadline);
    }

    // Forgets all, without telling them.
    void clear() noexcept { heap_.clear(); }

    // Forgets the fiber, which ends.
    void remove(fiber_core& fiber) noexcept;

    // The earliest point at which expire() may have something to do; `never` if none.
    [[nodiscard]] time_point next() const noexcept { return heap_.empty() ? never : heap_.front().due; }

    // Wakes the fibers whose deadline is not after `now`.
    void expire(time_point now) noexcept;

private:
    struct entry {
        time_point due;
        fiber_core* fiber;
    };

    // Four children to a node: shallower than a binary heap, and the children lie in one cache line.
    static constexpr std::size_t arity = 4;

    void place(fiber_core& fiber, time_point due);
    void sift_up(std::size_t slot, entry moving) noexcept;
    void sift_down(std::size_t slot, entry moving) noexcept;
    void put(std::size_t slot, entry what) noexcept;

    std::vector<entry> heap_;
};

} // namespace weft::detail
