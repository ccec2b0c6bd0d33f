// dead_end: what is said when no fiber of a run can ever run again.
#pragma once

#include <span>
#include <string>

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

// A line for each fiber, which is parked, with what it waits for: mutex "accounts", held by "audit"; and the circle in which some wait for
// each other, if there is one. Nothing of theirs changes meanwhile.
std::string report_dead_end(std::span<fiber_core const* const> fibers);

// Whether the process has threads that are neither `workers` nor weft's helpers; true if that can't be told.
bool has_foreign_threads(std::size_t workers);

} // namespace weft::detail
