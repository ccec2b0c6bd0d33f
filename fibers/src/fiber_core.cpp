#include <algorithm>
#include <mutex>

#include <weft/detail/fiber_core.hpp>
#include <weft/detail/lock_owner.hpp>
#include <weft/detail/task.hpp>

#include "worker.hpp"

namespace weft::detail {

__thread fiber_core* current_fiber = nullptr;
__thread int current_lock_owner = 0;

void set_name(fiber_core& fiber, std::string_view name) noexcept {
    std::size_t const length = std::min(name.size(), fiber_core::name_capacity - 1);
    std::copy_n(name.data(), length, fiber.name);
    fiber.name[length] = '\0';
}

fiber_core& fiber_of(inbox_message& message) noexcept {
    auto const offset = offsetof(fiber_core, remote_wake);
    return *reinterpret_cast<fiber_core*>(reinterpret_cast<char*>(&message) - offset);
}

void add_reference(fiber_core& fiber) noexcept { fiber.references.fetch_add(1, std::memory_order_relaxed); }

void release_reference(fiber_core& fiber) noexcept {
    if (fiber.references.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    fiber.type->destroy(fiber); // may run the result's destructor
    fiber.stop = std::stop_source(std::nostopstate);
    if (this_worker != nullptr && this_worker->owns(*fiber.stack.pool)) {
        this_worker->life_over(fiber);
        return;
    }
    // Home is there as long as the context is, and until whoever posts has left it.
    std::unique_lock lock(fiber.lock);
    if (!fiber.context_alive) {
        lock.unlock();
        fiber.stack.pool->release_remote(fiber.stack);
        return;
    }
    worker::posting const posting(*fiber.home);
    lock.unlock();
    fiber.remote_wake.deliver = [](inbox_message& message) noexcept {
        fiber_core& ended = fiber_of(message);
        ended.home->life_over(ended);
    };
    posting.post(fiber.remote_wake);
}

} // namespace weft::detail
