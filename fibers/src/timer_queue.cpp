#include "timer_queue.hpp"

#include <algorithm>

namespace weft::detail {

void timer_queue::put(std::size_t slot, entry what) noexcept {
    heap_[slot] = what;
    if (what.node != nullptr)
        what.node->slot = slot;
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

void timer_queue::place(timer_node& node, time_point due) {
    entry const moving{.due = due, .node = &node};
    if (node.queued == never) {
        heap_.push_back(moving);
        sift_up(heap_.size() - 1, moving);
    } else {
        sift_up(node.slot, moving);
    }
    node.queued = due;
}

void timer_queue::pop() noexcept {
    entry const last = heap_.back();
    heap_.pop_back();
    if (!heap_.empty())
        sift_down(0, last);
}

void timer_queue::drop_empty() noexcept {
    while (!heap_.empty() && heap_.front().node == nullptr) {
        pop();
        --empty_;
    }
}

void timer_queue::compact() noexcept {
    std::erase_if(heap_, [](entry const& each) { return each.node == nullptr; });
    empty_ = 0;
    for (std::size_t slot = 0; slot < heap_.size(); ++slot)
        heap_[slot].node->slot = slot;
    for (std::size_t slot = heap_.size() / arity + 1; slot-- > 0;)
        if (slot < heap_.size())
            sift_down(slot, heap_[slot]);
}

void timer_queue::remove(timer_node& node) noexcept {
    if (node.queued == never)
        return;
    node.queued = never;
    heap_[node.slot].node = nullptr;
    constexpr std::size_t tolerated = 64;
    if (++empty_ > tolerated && empty_ > heap_.size() / 2)
        compact();
}

void timer_queue::clear() noexcept {
    for (entry const& each : heap_)
        if (each.node != nullptr)
            each.node->queued = each.node->deadline = never;
    heap_.clear();
    empty_ = 0;
}

void timer_queue::expire(time_point now) noexcept {
    while (next() <= now && !heap_.empty()) {
        timer_node& node = *heap_.front().node;
        if (node.deadline > now && node.deadline != never) {
            node.queued = node.deadline;
            sift_down(0, {.due = node.deadline, .node = &node});
            continue;
        }
        node.queued = never;
        pop();
        if (node.deadline <= now)
            node.expire(node);
    }
}

} // namespace weft::detail
