#include "timer_queue.hpp"

#include <algorithm>

#include <weft/detail/park.hpp>

namespace weft::detail {

void timer_queue::put(std::size_t slot, entry what) noexcept {
    heap_[slot] = what;
    what.fiber->timer_slot = slot;
}

void timer_queue::sift_up(std::size_t slot, entry moving) noexcept {
    while (slot > 0) {
        std::size_t const parent = (slot - 1) / arity;
        if (heap_[parent].due <= moving.due)
            break;
        put(slot, heap_[parent]);
        slot = parent;
    }
    put(slot, moving);
}

void timer_queue::sift_down(std::size_t slot, entry moving) noexcept {
    for (;;) {
        std::size_t const first = slot * arity + 1;
        if (first >= heap_.size())
            break;
        std::size_t const end = std::min(first + arity, heap_.size());
        std::size_t least = first;
        for (std::size_t child = first + 1; child < end; ++child)
            if (heap_[child].due < heap_[least].due)
                least = child;
        if (moving.due <= heap_[least].due)
            break;
        put(slot, heap_[least]);
        slot = least;
    }
    put(slot, moving);
}

void timer_queue::place(fiber_core& fiber, time_point due) {
    entry const moving{.due = due, .fiber = &fiber};
    if (fiber.timer_due == never) {
        heap_.push_back(moving);
        sift_up(heap_.size() - 1, moving);
    } else {
        sift_up(fiber.timer_slot, moving);
    }
    fiber.timer_due = due;
}

void timer_queue::remove(fiber_core& fiber) noexcept {
    if (fiber.timer_due == never)
        return;
    fiber.timer_due = never;
    entry const last = heap_.back();
    heap_.pop_back();
    std::size_t const slot = fiber.timer_slot;
    if (last.fiber == &fiber)
        return;
    if (slot > 0 && last.due < heap_[(slot - 1) / arity].due)
        sift_up(slot, last);
    else
        sift_down(slot, last);
}

void timer_queue::expire(time_point now) noexcept {
    while (!heap_.empty() && heap_.front().due <= now) {
        fiber_core& fiber = *heap_.front().fiber;
        if (fiber.deadline > now && fiber.deadline != never) {
            fiber.timer_due = fiber.deadline;
            sift_down(0, {.due = fiber.deadline, .fiber = &fiber});
            continue;
        }
        remove(fiber);
        if (fiber.deadline <= now)
            wake(fiber, wake_cause::timed_out);
    }
}

} // namespace weft::detail
