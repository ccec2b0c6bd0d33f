// Addresses at which there is nothing, or not enough.
#pragma once

#include <array>
#include <cstddef>

namespace corner {

struct bad_address {
    char const* name;
    void* where;
};

// At `straddling`, the first `mapped` bytes are there.
std::array<bad_address, 8> bad_addresses(std::size_t mapped = 4);

} // namespace corner
