// fiber_list: fibers of one worker, oldest first. A fiber is in one such list at most.
#pragma once

#include <utility>

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

class fiber_list {
public:
    [[nodiscard]] fiber_core* first() const noexcept { return first_; } // the others follow by next_live

    void push_back(fiber_core& fiber) noexcept {
        fiber.next_live = nullptr;
        fiber.previous_live = std::exchange(last_, &fiber);
        (fiber.previous_live != nullptr ? fiber.previous_live->next_live : first_) = &fiber;
    }

    void erase(fiber_core& fiber) noexcept {
        (fiber.previous_live != nullptr ? fiber.previous_live->next_live : first_) = fiber.next_live;
        (fiber.next_live != nullptr ? fiber.next_live->previous_live : last_) = fiber.previous_live;
    }

private:
    fiber_core* first_ = nullptr;
    fiber_core* last_ = nullptr;
};

} // namespace weft::detail
