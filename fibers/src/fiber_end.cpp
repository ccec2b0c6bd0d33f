#include "fiber_end.hpp"

#include <utility>

#include <weft/detail/task.hpp>

#include "unhandled.hpp"
#include "worker.hpp"
#include "worker_group.hpp"

namespace weft::detail {
namespace {

void report(fiber_core const& fiber, std::exception_ptr const& failure) noexcept {
    // Not fiber.home: a handle may outlive its run.
    if (this_worker != nullptr)
        this_worker->group().options.on_unhandled(fiber.name, failure);
    else
        print_unhandled(fiber.name, failure);
}

} // namespace

void run_callbacks(done_callback* latest, fiber_core& fiber) noexcept {
    done_callback* next = nullptr;
    while (latest != nullptr) {
        done_callback* const earlier = std::exchange(latest->next, next);
        next = std::exchange(latest, earlier);
    }
    while (next != nullptr) {
        done_callback* const each = std::exchange(next, next->next);
        try {
            each->function(fiber.task->failure);
        } catch (...) {
            report(fiber, std::current_exception());
        }
        delete each;
    }
}

void report_failure(fiber_core const& fiber) noexcept {
    if (fiber.end == fiber_end::failed && fiber.task->failure)
        report(fiber, fiber.task->failure);
}

} // namespace weft::detail
