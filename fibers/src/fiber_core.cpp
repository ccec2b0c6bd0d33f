#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <system_error>

#include <weft/detail/fiber_core.hpp>
#include <weft/detail/lock_owner.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/detail/task.hpp>
#include <weft/detail/waiter.hpp>

#include "boost_context.hpp"
#include "unhandled.hpp"
#include "worker.hpp"
#include "worker_group.hpp"

namespace weft::detail {

__thread fiber_core* current_fiber = nullptr;
__thread int current_lock_owner = 0;

void set_name(fiber_core& fiber, std::string_view name) noexcept {
    std::size_t const length = std::min(name.size(), fiber_core::name_capacity - 1);
    std::copy_n(name.data(), length, fiber.name);
    fiber.name[length] = '\0';
}

void add_reference(fiber_core& fiber) noexcept { fiber.references.fetch_add(1, std::memory_order_relaxed); }

void release_reference(fiber_core& fiber) noexcept {
    if (fiber.references.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    stack_memory const stack = fiber.stack;
    fiber.destroy(fiber); // may run the result's destructor; `fiber` is gone
    if (this_worker != nullptr && this_worker->owns(*stack.pool))
        stack.pool->release(stack);
    else
        stack.pool->release_remote(stack);
}

launch_site prepare_launch(spawn_options const& options, std::size_t size, std::size_t alignment) {
    if (this_worker == nullptr)
        throw std::logic_error("weft::spawn: no fibers run on this thread; call it inside weft::run");
    std::size_t const stack_size =
        options.stack_size != 0 ? options.stack_size : this_worker->group().options.stack_size;
    stack_memory const stack = this_worker->allocate_stack(stack_size);
    return {.stack = stack, .place = reserve_top(stack, size, alignment, this_worker->next_stack_offset())};
}

void abandon_launch(launch_site const& site) noexcept { site.stack.pool->release(site.stack); }

void launch(launch_site const& site, fiber_core& core, spawn_options const& options) noexcept {
    core.home = this_worker;
    core.stack = site.stack;
    core.id = this_worker->next_id();
    core.lock_owner = fiber_lock_owner(core.id);
    if (options.name.empty())
        std::snprintf(core.name, sizeof core.name, "fiber %llu", static_cast<unsigned long long>(core.id));
    else
        set_name(core, options.name);
    this_worker->start(core);
}

void join(fiber_core& fiber, cancellation cancels) {
    if (&fiber == current_fiber)
        throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur),
                                "weft::fiber: a fiber can't join itself");
    std::unique_lock lock(fiber.lock);
    if (!fiber.done &&
        fiber.joiners.wait(lock, {.operation = "join fiber", .subject = static_cast<std::intptr_t>(fiber.id)},
                           never, cancels) == wake_cause::cancelled)
        throw_cancelled();
}

void detach(fiber_core& fiber) noexcept {
    fiber.lock.lock();
    bool const unobserved = fiber.done && fiber.failed;
    fiber.detached = true;
    fiber.lock.unlock();
    if (unobserved)
        fiber.report_failure(fiber);
}

std::exception_ptr no_result() noexcept {
    return std::make_exception_ptr(
        std::runtime_error("weft::fiber::get: the fiber called pthread_exit, so it has no result"));
}

void report_unhandled(fiber_core const& fiber, std::exception_ptr const& failure) noexcept {
    // Not fiber.home: a handle may outlive its run.
    if (failure && this_worker != nullptr)
        this_worker->group().options.on_unhandled(fiber.name, failure);
    else if (failure)
        print_unhandled(fiber.name, failure);
}

} // namespace weft::detail
