// fiber_end: who hears of a fiber's end besides those that wait for it: callbacks, and, of failures that nobody will get,
// run_options::on_unhandled.
#pragma once

#include <exception>
#include <functional>

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

// Of one on_done(); the latest first.
struct done_callback {
    done_callback* next;
    std::function<void(std::exception_ptr)> function;
};

// Calls and deletes them, the first one first. `failure`: what ended the fiber, or null.
void run_callbacks(done_callback* latest, fiber_core const& fiber,
                   std::exception_ptr const& failure) noexcept;

// The fiber has ended, and nobody will ask for its result.
void report_failure(fiber_core const& fiber) noexcept;

} // namespace weft::detail
