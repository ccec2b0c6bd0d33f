// resting_fibers: fibers of one worker that nobody refers to any more, kept for the next spawn: the stack is warm, and the context
// need not be made again.
//
// Sorted by the room that they have for a task. Within one size, the last one in is the first one out.
#pragma once

#include <array>
#include <cstddef>

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

class resting_fibers {
public:
    static constexpr std::size_t room_step = 64;
    static constexpr std::size_t largest_room = 512;

    // The room that a task of `size` bytes is given.
    static constexpr std::size_t room_for(std::size_t size) noexcept {
        return (size + room_step - 1) / room_step * room_step;
    }

    // False if there are enough: it must be ended.
    [[nodiscard]] bool push(fiber_core& fiber) noexcept;

    // One with at least that room, at most largest_room; null if there is none.
    [[nodiscard]] fiber_core* pop(std::size_t room) noexcept;

    // Whether any came since the last take_cold().
    [[nodiscard]] bool wants_trim() const noexcept { return grown_; }

    // Takes out those beyond the last few, linked by next_live. With `all`: every one.
    [[nodiscard]] fiber_core* take_cold(bool all) noexcept;

    // Calls visit(fiber) for each.
    template <class Visitor> void for_each(Visitor visit) const {
        for (fiber_core* first : lists_)
            for (; first != nullptr; first = first->next_live)
                visit(*first);
    }

private:
    static constexpr std::size_t most = 256; // of all sizes
    static constexpr std::size_t warm = 16;  // of each size, after a trim

    static std::size_t index_of(std::size_t room) noexcept { return room / room_step - 1; }

    std::array<fiber_core*, largest_room / room_step> lists_{};
    std::size_t count_ = 0;
    bool grown_ = false;
};

} // namespace weft::detail
