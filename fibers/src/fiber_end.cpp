#include "fiber_end.hpp"

#include <utility>

#include <weft/detail/task.hpp>

#include "unhandled.hpp"

namespace weft::detail {

void run_callbacks(done_callback* latest, fiber_core const& fiber,
                   std::exception_ptr const& failure) noexcept {
    done_callback* next = nullptr;
    while (latest != nullptr) {
        done_callback* const earlier = std::exchange(latest->next, next);
        next = std::exchange(latest, earlier);
    }
    while (next != nullptr) {
        done_callback* const each = std::exchange(next, next->next);
        try {
            each->function(failure);
        } catch (...) {
            report_unhandled(fiber.name, std::current_exception());
        }
        delete each;
    }
}

void report_failure(fiber_core const& fiber) noexcept {
    // Not fiber.home's: a handle may outlive its run.
    if (fiber.end == fiber_end::failed && fiber.task->failure)
        report_unhandled(fiber.name, fiber.task->failure);
}

} // namespace weft::detail
