#include "resting_fibers.hpp"

#include <utility>

namespace weft::detail {

bool resting_fibers::push(fiber_core& fiber) noexcept {
    if (count_ == most)
        return false;
    fiber_core*& first = lists_[index_of(fiber.room)];
    fiber.next_live = std::exchange(first, &fiber);
    ++count_;
    grown_ = true;
    return true;
}

fiber_core* resting_fibers::pop(std::size_t room) noexcept {
    if (count_ == 0)
        return nullptr;
    for (std::size_t i = index_of(room); i < lists_.size(); ++i)
        if (fiber_core* const fiber = lists_[i]) {
            lists_[i] = fiber->next_live;
            --count_;
            return fiber;
        }
    return nullptr;
}

fiber_core* resting_fibers::take_cold(bool all) noexcept {
    grown_ = false;
    fiber_core* taken = nullptr;
    for (fiber_core*& first : lists_) {
        fiber_core** link = &first;
        for (std::size_t kept = all ? 0 : warm; kept > 0 && *link != nullptr; --kept)
            link = &(*link)->next_live;
        fiber_core* each = std::exchange(*link, nullptr);
        while (each != nullptr) {
            --count_;
            fiber_core* const next = each->next_live;
            each->next_live = std::exchange(taken, each);
            each = next;
        }
    }
    return taken;
}

} // namespace weft::detail
