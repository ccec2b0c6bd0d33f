#include "ready_queue.hpp"

namespace weft::detail {

void ready_queue::draw_first() noexcept {
    std::uint64_t count = 1; // it isn't empty
    for (fiber_core const* each = head_->next_ready; each != nullptr; each = each->next_ready)
        ++count;
    fiber_core* before = nullptr;
    fiber_core* chosen = head_;
    for (std::uint64_t steps = draw() % count; steps > 0; --steps) {
        before = chosen;
        chosen = chosen->next_ready;
    }
    if (before == nullptr)
        return;
    before->next_ready = chosen->next_ready;
    if (tail_ == chosen)
        tail_ = before;
    chosen->next_ready = head_;
    head_ = chosen;
}

} // namespace weft::detail
