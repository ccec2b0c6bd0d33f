// task: a fiber_core with the user's function and its result behind it. See fiber_core.hpp for its lifetime.
#pragma once

#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/detail/exit.hpp>
#include <weft/detail/fiber_core.hpp>
#include <weft/spawn_options.hpp>

namespace weft::detail {

// A stack of the calling worker, and the place on it for a task.
struct launch_site {
    stack_memory stack;
    void* place = nullptr;
};

// Throws std::logic_error where no worker runs, std::system_error without memory.
launch_site prepare_launch(spawn_options const& options, std::size_t size, std::size_t alignment);
void abandon_launch(launch_site const& site) noexcept;

// Makes the task at site.place ready to run.
void launch(launch_site const& site, fiber_core& core, spawn_options const& options) noexcept;

// Waits, on a fiber or a plain thread, until the fiber has ended. std::system_error (resource_deadlock_would_occur)
// if it is the caller. With `cancels`: weft::cancelled, if the calling fiber is.
void join(fiber_core& fiber, cancellation cancels);
void detach(fiber_core& fiber) noexcept;

// Hands an exception that nobody will get to run_options::on_unhandled.
void report_unhandled(fiber_core const& fiber, std::exception_ptr const& failure) noexcept;

// What get() throws of a fiber that was ended before it had a result.
std::exception_ptr no_result() noexcept;

template <class R> struct task_result : fiber_core {
    using stored =
        std::conditional_t<std::is_void_v<R>, std::nullptr_t,
                           std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, R>>;

    std::optional<stored> value;
    std::exception_ptr failure;

    // Once done: the value or the exception, moved out.
    R take() {
        if (failure)
            std::rethrow_exception(std::exchange(failure, nullptr));
        if constexpr (std::is_reference_v<R>) {
            return **value;
        } else if constexpr (!std::is_void_v<R>) {
            R taken = std::move(*value);
            value.reset();
            return taken;
        }
    }

    // Once done: nobody wants the result. The stack that it lies on may be needed a little longer.
    void discard() noexcept {
        value.reset();
        failure = nullptr;
    }
};

template <class F> struct task final : task_result<std::invoke_result_t<F&>> {
    using result = std::invoke_result_t<F&>;

    explicit task(F&& f) : function(std::move(f)) {
        this->body = [](fiber_core& core) noexcept { static_cast<task&>(core).run(); };
        this->destroy = [](fiber_core& core) noexcept { static_cast<task&>(core).~task(); };
        this->report_failure = [](fiber_core const& core) noexcept {
            report_unhandled(core, static_cast<task const&>(core).failure);
        };
    }

    // What the function captured ends with the fiber, not with the handle.
    void run() noexcept {
        try {
            if constexpr (std::is_void_v<result>) {
                (*function)();
                this->value.emplace(nullptr);
            } else if constexpr (std::is_reference_v<result>) {
                this->value.emplace(&(*function)());
            } else {
                this->value.emplace((*function)());
            }
            function.reset();
        } catch (fiber_exit const&) {
            if constexpr (std::is_void_v<result>)
                this->value.emplace(nullptr);
            else
                this->failure = no_result();
            function.reset();
        } catch (...) {
            this->failure = std::current_exception();
            this->failed = true;
            function.reset();
        }
    }

    std::optional<F> function;
};

} // namespace weft::detail
