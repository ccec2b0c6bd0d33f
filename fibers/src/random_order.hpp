// The seed by which a test has the order of fibers drawn; 0: none.
#pragma once

#include <atomic>
#include <cstdint>

namespace weft::detail {

extern std::atomic<std::uint64_t> order_seed;

} // namespace weft::detail
