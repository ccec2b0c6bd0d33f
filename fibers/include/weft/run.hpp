// run: the entrance to weft. Everything else is called from a fiber, and fibers live inside weft::run.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>

#include <weft/cancel_scope.hpp>
#include <weft/engine.hpp>
#include <weft/fiber_handle.hpp>

namespace weft {

// Thrown by run when no fiber can ever run again: each waits for something that only another fiber could do. what() tells each fiber, where
// it was spawned, and what it waits for; and, if fibers wait for each other in a circle, the circle. Every fiber has been cancelled by then.
//
// Found when every worker has had nothing to do for a moment (50 ms to some seconds), every fiber is in a wait without a deadline, for a lock or
// other object of weft's, for one of pthread's that is the process's own, or for a fiber to end, and the process has no threads but weft's, which
// could act for it. If a fiber can't be cancelled, as it waits for a pthread lock, say, the process is ended, with the same report.
class dead_end : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

struct run_options {
    // Threads that run fibers, the calling one included; at least 1. A fiber never leaves the worker it began on.
    std::size_t workers = 1;

    // Address space of a fiber's stack in bytes, guard included, where spawn_options don't say. Only pages that a
    // fiber has touched take memory.
    std::size_t stack_size = 256 * 1024;

    // Called, on the worker concerned, for an exception that ended a fiber and that no one will get: of a detached
    // fiber, or of one whose handle was destroyed without get(). Must not throw. Default: one line on stderr.
    std::function<void(std::string_view fiber_name, std::exception_ptr exception)> on_unhandled = {};

    // Whether run looks for dead ends: see there. Switch it off if the fibers wait for something that a signal's handler will do.
    bool find_dead_ends = true;

    // What each worker waits with when no fiber can run. Default: epoll if netio is linked, else an engine that knows
    // timers alone.
    engine_factory make_engine = {};
};

namespace detail {

void run(run_options const& options, void (*main)(void*), void* argument);

} // namespace detail

// Runs `main` as the first fiber, on the calling thread's own stack, and returns when it and every fiber that it and
// its descendants spawned have ended. Returns main's int, or 0 if it returns void. An exception that leaves main leaves
// run too, after the other fibers have ended (weft::cancelled as fiber_cancelled); and so does pthread_exit(3), which then ends the thread.
//
// Not to be called on a fiber (std::logic_error). Throws dead_end, if there is one; std::invalid_argument for options out of range,
// std::system_error if a thread, stack or engine can't be had.
template <class Main> int run(Main&& main, run_options const& options = {}) {
    struct call {
        Main& main;
        int result = 0;
        std::exception_ptr failure;
    } state{main, 0, nullptr};
    detail::run(
        options,
        [](void* argument) {
            auto& self = *static_cast<call*>(argument);
            try {
                if constexpr (std::is_void_v<std::invoke_result_t<Main&>>)
                    self.main();
                else
                    self.result = self.main();
            } catch (cancelled const& by) {
                self.failure = std::make_exception_ptr(fiber_cancelled("main", by.reason()));
            } catch (...) {
                self.failure = std::current_exception();
                if (!self.failure) // no exception, but pthread_exit(3), which must not be held up
                    throw;
            }
        },
        &state);
    if (state.failure)
        std::rethrow_exception(state.failure);
    return state.result;
}

// The number of workers of this run, and the caller's place among them, from 0. On a fiber only (std::logic_error).
std::size_t worker_count();
std::size_t worker_index();

} // namespace weft
