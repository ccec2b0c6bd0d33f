// What a test wants to be called with the name of every wait; null: nothing.
#pragma once

#include <atomic>

namespace weft::detail {

extern std::atomic<void (*)(char const* operation)> park_hook;

} // namespace weft::detail
