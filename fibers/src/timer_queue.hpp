// timer_queue: what one worker is to do at which time.
//
// A heap of nodes, lazy in two ways:
//   - A node whose deadline has moved to later stays where it sits: when that time comes, it goes to its present deadline, or leaves
//     the queue if that is `never`. So a deadline on every read costs one heap operation per fiber and deadline's length, not one
//     per read.
//   - A node that is removed leaves its place behind, empty. Empty places go when they are at the top and somebody asks for the next
//     one, or, all at once, when they are more than half. So arming and cancelling a timer that never expires costs no search for its neighbours.
//
// Threads: the worker's own.
#pragma once

#include <cstddef>
#include <vector>

#include <weft/detail/timer_node.hpp>

namespace weft::detail {

class timer_queue {
public:
    // The node is to expire at node.deadline. May throw std::bad_alloc.
    void arm(timer_node& node) {
        if (node.deadline < node.queued)
            place(node, node.deadline);
    }

    // Forgets all, which have no deadline any more; they are not told.
    void clear() noexcept;

    // Forgets the node.
    void remove(timer_node& node) noexcept;

    // The earliest point at which expire() may have something to do; `never` if none.
    [[nodiscard]] time_point next() noexcept {
        drop_empty();
        return heap_.empty() ? never : heap_.front().due;
    }
    // Whether next() is certainly never.
    [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }

    // Expires the nodes whose deadline is not after `now`.
    void expire(time_point now) noexcept;

private:
    struct entry {
        time_point due;
        timer_node* node; // null: it was removed
    };

    // Four children to a node: shallower than a binary heap, and the children lie in one cache line.
    static constexpr std::size_t arity = 4;

    void place(timer_node& node, time_point due);
    void sift_up(std::size_t slot, entry moving) noexcept;
    void sift_down(std::size_t slot, entry moving) noexcept;
    void put(std::size_t slot, entry what) noexcept;
    void pop() noexcept;
    void drop_empty() noexcept;
    void compact() noexcept;

    std::vector<entry> heap_;
    std::size_t empty_ = 0; // of its places
};

} // namespace weft::detail
