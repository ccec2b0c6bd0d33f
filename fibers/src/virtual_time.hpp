// virtual_time: what workers and the virtual clock have between them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include <weft/clock.hpp>

namespace weft::detail {

inline bool time_is_virtual() noexcept { return virtual_time.load(std::memory_order_relaxed) != 0; }

// Real time to wait for the world outside before a jump.
extern std::chrono::nanoseconds virtual_patience;

// Not back. On the one worker that found all of them idle.
void jump_to(time_point when) noexcept;

} // namespace weft::detail
