#include <pthread.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <weft/cancel_scope.hpp>
#include <weft/detail/call_table.hpp>
#include <weft/detail/completion_wait.hpp>
#include <weft/detail/exit.hpp>
#include <weft/detail/last_fibers.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/worker_context.hpp>
#include <weft/fiber.hpp>

namespace weft::detail {

// There only if weft::patch is linked.
[[gnu::weak]] std::span<patched_call const> patched_calls() noexcept;

namespace {

struct worker_context {
    worker_context_type const* type;
    void* context = nullptr;
    fiber_core* runner = nullptr; // from its first run on
    fiber_core* ender = nullptr;  // from its first run on
    bool ending = false;          // the runner leaves it when it is out of work
    bool gone = false;
    worker_context* next_forgotten = nullptr;
};

thread_local worker_context* present = nullptr;

// In the child of a fork: the parent's, whose fibers are gone. Kept, as they can't be destroyed without them.
worker_context* forgotten = nullptr;

void forget_in_child() noexcept {
    if (present == nullptr)
        return;
    present->next_forgotten = std::exchange(forgotten, present);
    present = nullptr;
}

bool is_epoll_wait_patched() noexcept {
    if (&patched_calls == nullptr)
        return false;
    auto const calls = patched_calls();
    return std::any_of(calls.begin(), calls.end(),
                       [](patched_call const& each) { return std::string_view(each.name) == "epoll_wait"; });
}

// To run_options::on_unhandled, as a fiber's that nobody joins.
void report(std::exception_ptr failure) {
    spawn({.name = "asio handler"}, [failure = std::move(failure)] {
        std::rethrow_exception(failure);
    }).detach();
}

// False if an exception left a handler.
bool run_handlers(worker_context const& self) {
    try {
        self.type->run(self.context);
        return true;
    } catch (fiber_exit const&) { // a handler called pthread_exit(3): that ends the handler
    } catch (...) {
        std::exception_ptr failure = std::current_exception();
        if (!failure) // no exception, but the end of the thread
            throw;
        report(std::move(failure));
    }
    return false;
}

// The runner and the ender.
constexpr std::size_t own_fibers = 2;

// The runner: until there is nothing more to do after main, and nobody left to whom an object of the context's could belong. Handlers
// are not cancelled with it, and Asio would not know what to do with an epoll_wait that is.
void run(worker_context& self) {
    cancel_scope whole;
    whole.shield();
    self.runner = current_fiber;
    for (;;) {
        while (!run_handlers(self) || !self.ending) {
        }
        if (present != &self || are_others_gone(own_fibers)) // in the child of a fork, nobody else has it
            break;
        self.type->go_on(self.context); // a handler has spawned a fiber
        self.ending = false;
        wake(*self.ender, wake_cause::notified);
    }
    self.type->destroy(self.context);
    self.gone = true;
    if (present != &self)
        return;
    present = nullptr;
    wake(*self.ender, wake_cause::notified);
}

// Waits for the end of all other fibers on the runner's behalf, which is inside the context meanwhile.
void wait_for_end(worker_context& self) {
    constexpr wait_reason reason{"until every other fiber has ended"};
    self.ender = current_fiber;
    while (!self.gone) {
        wait_until_others_gone(own_fibers, reason);
        self.ending = true;
        self.type->let_end(self.context);
        while (self.ending && !self.gone)
            sleep_until(reason, never);
    }
}

} // namespace

void* obtain_worker_context(worker_context_type const& type) {
    if (present != nullptr)
        return present->context;
    if (current_fiber == nullptr)
        throw std::logic_error(
            "weft::net::io_context_for_this_worker: called on a thread that runs no fiber; call it inside weft::run");
    if (!is_epoll_wait_patched())
        throw std::logic_error(
            "weft::net::io_context_for_this_worker: epoll_wait is libc's in this program, so Asio would block the "
            "worker; link weft::patch");
    [[maybe_unused]] static int const watched = ::pthread_atfork(nullptr, nullptr, forget_in_child);
    auto const made = std::make_shared<worker_context>(worker_context{.type = &type});
    {
        shield const whole; // a call that fails would break Asio's reactor for good
        made->context = type.make();
    }
    spawn({.name = "asio", .daemon = true}, [made] { run(*made); }).detach();
    spawn({.name = "asio's end", .daemon = true}, [made] { wait_for_end(*made); }).detach();
    present = made.get();
    return made->context;
}

fiber_core* runner_of_worker_context() noexcept { return present != nullptr ? present->runner : nullptr; }

} // namespace weft::detail
