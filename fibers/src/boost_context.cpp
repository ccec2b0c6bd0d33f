#include "boost_context.hpp"

#include <memory>
#include <new>

#include <boost/context/stack_context.hpp>
#include <boost/context/stack_traits.hpp>
#include <boost/fiber/context.hpp>
#include <boost/fiber/properties.hpp>

#include <weft/detail/lock_owner.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/scope.hpp>

#include "sanitizer.hpp"
#include "worker.hpp"

namespace weft::detail {
namespace {

namespace fibers = boost::fibers;

// Boost hands each context's properties back to the algorithm: the way from a context to its core. Boost deletes them
// with the context.
struct core_link : fibers::fiber_properties {
    core_link(fibers::context* context, fiber_core* core_) : fibers::fiber_properties(context), core(core_) {}

    fiber_core* core;
};

// Lies on the fiber's stack: there is nothing to free.
struct stack_link final : core_link {
    using core_link::core_link;

    // NOLINTNEXTLINE(misc-new-delete-overloads): it is only ever placed
    static void operator delete(void* /*place*/) noexcept {}
};

struct adopted_fiber final : core_link {
    explicit adopted_fiber(fibers::context* context) : core_link(context, &own_core) {}
    adopted_fiber(adopted_fiber const&) = delete;
    adopted_fiber& operator=(adopted_fiber const&) = delete;
    ~adopted_fiber() override { part_from_scopes(own_core); }

    fiber_core own_core;
};

constexpr std::size_t link_room = (sizeof(stack_link) + alignof(std::max_align_t) - 1) /
                                  alignof(std::max_align_t) * alignof(std::max_align_t);

void* link_place(fiber_core const& core) noexcept { return core.stack.low + core.stack.size - link_room; }

// The stack "allocator" that Boost sees: the stack exists already, and its upper end is taken.
struct stack_below_core {
    fiber_core* core;

    boost::context::stack_context allocate() const noexcept {
        boost::context::stack_context context;
        context.sp = core;
        context.size = static_cast<std::size_t>(reinterpret_cast<char*>(core) - core->stack.low);
        return context;
    }

    // Boost's context is destroyed and nothing of it runs any more.
    void deallocate(boost::context::stack_context& /*context*/) const noexcept {
        core->home->context_ended(*core);
    }
};

} // namespace

fiber_core& core_of(fibers::context& context, worker& home) noexcept {
    auto* link = static_cast<core_link*>(context.get_properties());
    if (link == nullptr) {
        // Runs inside Boost's noexcept scheduling: without memory for this, there is no way to go on.
        link = new adopted_fiber(&context);
        context.set_properties(link);
        link->core->context = &context;
        link->core->home = &home;
        link->core->timer.expire = time_out;
        link->core->id = home.next_id();
        link->core->lock_owner = fiber_lock_owner(link->core->id);
        set_name(*link->core, "boost fiber");
    }
    return *link->core;
}

bool is_dispatcher(fibers::context const& context) noexcept {
    return context.is_context(fibers::type::dispatcher_context);
}

stack_memory dispatcher_stack(fibers::context& context) noexcept {
    std::size_t const size = boost::context::stack_traits::default_size() - 4096;
    return {.pool = nullptr, .low = reinterpret_cast<char*>(&context) - size, .size = size};
}

void adopt_main_context(fiber_core& core) noexcept {
    core.context = fibers::context::active();
    core.context->set_properties(new core_link(core.context, &core));
}

void detach_context(fiber_core& core) noexcept { core.context->detach(); }

void release_main_context(fiber_core& core) noexcept { core.context->set_properties(nullptr); }

void* reserve_top(stack_memory const& stack, std::size_t size, std::size_t alignment,
                  std::size_t offset) noexcept {
    auto const top = reinterpret_cast<std::uintptr_t>(stack.low + stack.size - link_room - offset);
    return reinterpret_cast<void*>((top - size) & ~(std::uintptr_t{alignment} - 1));
}

void start_context(fiber_core& core) {
    auto* const link = new (link_place(core)) stack_link(nullptr, &core);
    auto const context = fibers::make_worker_context_with_properties(
        fibers::launch::post, link, stack_below_core{&core}, [&core]() noexcept {
            finish_switch(core);
            while (!core.context_ends) { // so from the start, if the first spawn failed
                core.type->run(core);
                core.home->finish(core);
                core.home->rest(core);
            }
        });
    core.context = context.get();
    core.context_alive = true;
    fibers::context::active()->attach(core.context);
}

} // namespace weft::detail
