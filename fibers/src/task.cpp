#include <algorithm>
#include <charconv>
#include <cstdint>
#include <stdexcept>

#include <weft/cancel_scope.hpp>
#include <weft/detail/lock_owner.hpp>
#include <weft/detail/scope.hpp>
#include <weft/detail/task.hpp>
#include <weft/fiber.hpp>

#include "worker.hpp"

namespace weft::detail {
namespace {

void set_number_as_name(fiber_core& fiber) noexcept {
    constexpr std::string_view kind = "fiber ";
    char* const number = std::copy(kind.begin(), kind.end(), fiber.name);
    *std::to_chars(number, fiber.name + fiber_core::name_capacity - 1, fiber.id).ptr = '\0';
}

} // namespace

launch_site prepare_launch(spawn_options const& options, std::size_t size, std::size_t alignment) {
    if (this_worker == nullptr)
        throw std::logic_error("weft::spawn: no fibers run on this thread; call it inside weft::run");
    // Behind a fiber_core, places are aligned as it is.
    std::size_t const padding = alignment > alignof(fiber_core) ? alignment : 0;
    fiber_core& fiber = this_worker->obtain_fiber(options.stack_size, size + padding);
    auto const behind = reinterpret_cast<std::uintptr_t>(&fiber + 1);
    auto const place = (behind + alignment - 1) & ~(std::uintptr_t{alignment} - 1);
    return {.fiber = &fiber, .place = reinterpret_cast<void*>(place)};
}

void abandon_launch(launch_site const& site) noexcept { this_worker->life_over(*site.fiber); }

void launch(launch_site const& site, task_type const& type, task_outcome& task, spawn_options const& options,
            origin const& from) {
    fiber_core& fiber = *site.fiber;
    fiber.type = &type;
    fiber.task = &task;
    fiber.references.store(2, std::memory_order_relaxed);
    fiber.id = this_worker->next_id();
    fiber.lock_owner = fiber_lock_owner(fiber.id);
    fiber.parent = current_fiber != nullptr ? current_fiber->id : 0;
    fiber.site = from.site;
    fiber.daemon = options.daemon;
    fiber.base_scope = from.scope;
    fiber.observer = from.observer;
    if (from.scope != nullptr)
        join_scope(fiber, *from.scope);
    if (options.name.empty())
        set_number_as_name(fiber);
    else
        set_name(fiber, options.name);
    this_worker->start(fiber);
}

std::exception_ptr failure_in_flight() noexcept {
    try {
        throw;
    } catch (cancelled const& by) {
        return std::make_exception_ptr(fiber_cancelled(current_fiber->name, by.reason()));
    } catch (...) {
        return std::current_exception();
    }
}

void end_by_exception(fiber_core& fiber, task_outcome& task) noexcept {
    fiber.end = fiber_end::failed;
    try {
        throw;
    } catch (cancelled const&) {
        fiber.end = fiber_end::cancelled;
        task.failure = failure_in_flight();
    } catch (...) {
        task.failure = std::current_exception();
    }
}

std::exception_ptr no_result() noexcept {
    return std::make_exception_ptr(
        std::runtime_error("weft::fiber::get: the fiber called pthread_exit, so it has no result"));
}

} // namespace weft::detail
