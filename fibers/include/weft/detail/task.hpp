// task: a fiber's function and its result. It lies right behind the fiber_core, whose lifetime it shares: see there.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <weft/detail/exit.hpp>
#include <weft/detail/fiber_core.hpp>
#include <weft/source_location.hpp>
#include <weft/spawn_options.hpp>

namespace weft::detail {

// What every task begins with, whatever its type.
struct task_outcome {
    std::exception_ptr failure; // valid once the fiber has ended: what left the function
};

// A fiber at rest, or a new one, of the calling worker, and the place behind it for a task.
struct launch_site {
    fiber_core* fiber = nullptr;
    void* place = nullptr;
};

// Throws std::logic_error where no worker runs, std::system_error without memory.
launch_site prepare_launch(spawn_options const& options, std::size_t size, std::size_t alignment);
void abandon_launch(launch_site const& site) noexcept;

// Where a fiber comes from, and who cares for it.
struct origin {
    source_location site;
    scope_node* scope = nullptr; // it is cancelled with
    end_observer* observer = nullptr;
};

// Makes the task at `site.place` ready to run, with one reference more than its own: the caller's.
void launch(launch_site const& site, task_type const& type, task_outcome& task, spawn_options const& options,
            origin const& from);

// What others are to see of the exception being handled, which ends the running fiber's function: of weft::cancelled, fiber_cancelled.
std::exception_ptr failure_in_flight() noexcept;

// That exception has ended it: `failure`, and how it counts.
void end_by_exception(fiber_core& fiber, task_outcome& task) noexcept;

// What get() throws of a fiber that was ended before it had a result.
std::exception_ptr no_result() noexcept;

// The running fiber's stop token.
std::stop_token stop_token_of(fiber_core& fiber);

// What function() returns; one that takes a std::stop_token is given the fiber's.
template <class F> decltype(auto) call_task(F& function, fiber_core& fiber) {
    if constexpr (std::is_invocable_v<F&, std::stop_token>)
        return function(stop_token_of(fiber));
    else
        return function();
}
template <class F> using call_result = decltype(call_task(std::declval<F&>(), std::declval<fiber_core&>()));

template <class R> struct task_result : task_outcome {
    using stored =
        std::conditional_t<std::is_void_v<R>, std::nullptr_t,
                           std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, R>>;

    std::optional<stored> value;

    // Once ended without failure: the value, moved out.
    R take() {
        if constexpr (std::is_reference_v<R>) {
            return static_cast<R>(**value);
        } else if constexpr (!std::is_void_v<R>) {
            R taken = std::move(*value);
            value.reset();
            return taken;
        }
    }
};

template <class F> struct task final : task_result<call_result<F>> {
    using result = call_result<F>;

    explicit task(F&& f) : function(std::move(f)) {}

    // What the function captured ends with the fiber, not with the handle.
    void run(fiber_core& fiber) noexcept {
        try {
            if constexpr (std::is_void_v<result>) {
                call_task(*function, fiber);
                this->value.emplace(nullptr);
            } else if constexpr (std::is_reference_v<result>) {
                this->value.emplace(std::addressof(call_task(*function, fiber)));
            } else {
                this->value.emplace(call_task(*function, fiber));
            }
        } catch (fiber_exit const&) {
            if constexpr (std::is_void_v<result>)
                this->value.emplace(nullptr);
            else
                this->failure = no_result();
        } catch (...) {
            end_by_exception(fiber, *this);
        }
        function.reset();
    }

    static task& of(fiber_core& fiber) noexcept { return static_cast<task&>(*fiber.task); }

    static constexpr task_type type{
        .run = [](fiber_core& fiber) noexcept { of(fiber).run(fiber); },
        .destroy = [](fiber_core& fiber) noexcept { of(fiber).~task(); },
    };

    std::optional<F> function;
};

// Starts `function` as a fiber of the calling worker; the reference that comes with it is the caller's.
template <class F> fiber_core* start(spawn_options const& options, F&& function, origin const& from) {
    using task_of = task<std::decay_t<F>>;
    static_assert(alignof(task_of) <= 256,
                  "a fiber's function can't be aligned more strictly than 256 bytes");
    launch_site const site = prepare_launch(options, sizeof(task_of), alignof(task_of));
    task_of* made = nullptr;
    try {
        made = new (site.place) task_of(std::decay_t<F>(std::forward<F>(function)));
    } catch (...) {
        abandon_launch(site);
        throw;
    }
    launch(site, task_of::type, *made, options, from);
    return site.fiber;
}

} // namespace weft::detail
