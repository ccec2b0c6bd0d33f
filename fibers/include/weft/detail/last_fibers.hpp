// last_fibers: for fibers of a library's own, daemons, that serve the others of their worker until the last of them has ended.
#pragma once

#include <cstddef>

#include <weft/detail/wait_reason.hpp>

namespace weft::detail {

// On a fiber. Whether weft::run is about to return, and beside main no more than `staying` fibers live on the calling worker, daemons
// included.
[[nodiscard]] bool are_others_gone(std::size_t staying) noexcept;

// The same, waited for, whatever is cancelled. One fiber of a worker may.
void wait_until_others_gone(std::size_t staying, wait_reason reason) noexcept;

} // namespace weft::detail
