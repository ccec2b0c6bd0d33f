// exit: the end of the process, or of one fiber, from anywhere on a fiber.
#pragma once

namespace weft::detail {

// Whether the caller is a fiber other than its worker's main.
bool on_spawned_fiber() noexcept;

// exit(3) from a fiber. It runs on the worker's main fiber: exit ends the thread's variables, Boost.Fiber's among them, which can
// be done on the thread's own stack alone. No other fiber of the worker runs any more.
[[noreturn]] void exit_on_main(int status) noexcept;

// Thrown on a spawned fiber to end it, as pthread_exit(3) ends a thread: destructors run. Not for anybody to catch but the task.
struct fiber_exit {};

} // namespace weft::detail
