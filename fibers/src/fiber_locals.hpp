// fiber_locals: the values of one fiber's, or plain thread's, fiber_local variables.
#pragma once

#include <cstddef>
#include <vector>

#include <weft/fiber_local.hpp>

namespace weft::detail {

struct fiber_core;

struct fiber_locals {
    struct entry {
        local_key key;
        void* value;
        void (*destroy)(void*) noexcept;
    };

    // In the order in which they were made: there are few, and the last ones go first.
    std::vector<entry> entries;

    fiber_locals() = default;
    fiber_locals(fiber_locals const&) = delete;
    fiber_locals& operator=(fiber_locals const&) = delete;
    ~fiber_locals() { clear(); }

    // A destructor may make new values: until none is left.
    void clear() noexcept;
};

// The running fiber's values end, and those that their destructors make.
void end_locals(fiber_core& fiber) noexcept;

} // namespace weft::detail
