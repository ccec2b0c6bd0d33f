// exit: the end of the process, from a fiber.
#pragma once

namespace weft::detail {

// Whether the caller is a fiber other than its worker's main.
bool on_spawned_fiber() noexcept;

// exit(3) from a fiber. It runs on the worker's main fiber: exit ends the thread's variables, Boost.Fiber's among them, which can
// be done on the thread's own stack alone. No other fiber of the worker runs any more.
[[noreturn]] void exit_on_main(int status) noexcept;

} // namespace weft::detail
