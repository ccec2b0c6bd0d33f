// handle_access: the fiber behind a handle.
#pragma once

#include <weft/fiber_handle.hpp>

namespace weft::detail {

struct handle_access {
    // Throws std::logic_error, in the name of `function`, if there is none.
    static fiber_core& core(fiber_handle const& handle, char const* function) {
        return handle.require(function);
    }
};

} // namespace weft::detail
