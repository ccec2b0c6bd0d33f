// task_group: fibers that belong together. The group can't be left before they have ended.
//
//     weft::with_task_group([&](weft::task_group& group) {
//         group.spawn([&] { feed(queue); });
//         group.spawn([&] { drain(queue); });
//     }); // both have ended here; if one of them failed, the other was cancelled, and this throws
//
// What always holds:
//   1. Whoever leaves the block in which the group lives, in whatever way, has waited for every fiber in it.
//   2. Cancelling the fiber that made the group, or a scope around the group, cancels the fibers in it: their scopes lie inside.
//   3. A fiber that ended and to which nobody keeps a handle is freed at once: a group may live as long as a server.
//   4. An exception that leaves a fiber of the group is never lost; the failure_policy says what becomes of it.
// A fiber that ends by weft::cancelled has not failed.
//
// A group belongs to the worker that it was made on, and so do its fibers; other fibers of that worker may spawn into it as long as it
// lives. Elsewhere its members throw std::logic_error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <weft/cancel_scope.hpp>
#include <weft/detail/biased_lock.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/detail/scope.hpp>
#include <weft/detail/task.hpp>
#include <weft/detail/wait_list.hpp>
#include <weft/exception_group.hpp>
#include <weft/fiber_handle.hpp>
#include <weft/result.hpp>
#include <weft/source_location.hpp>
#include <weft/spawn_options.hpp>

namespace weft {

// What the first failure in a group does.
enum class failure_policy : std::uint8_t {
    cancel_siblings, // the rest of the group is cancelled; wait() throws exception_group
    collect,         // the rest goes on; wait() throws exception_group at the end
    report,          // the rest goes on; failures go to run_options::on_unhandled as they happen: for servers
};

// The handle of a fiber in a group. Unlike fiber<R>, it may be let go of at any time: the group waits for the fiber.
template <class R = void> class task : public fiber_handle {
public:
    using result_type = R;

    task() noexcept : fiber_handle(nullptr) {}
    task(task&& other) noexcept = default;
    task& operator=(task&& other) noexcept {
        if (this != &other) {
            release();
            core_ = std::exchange(other.core_, nullptr);
        }
        return *this;
    }
    ~task() { release(); }

    // As fiber<R>'s. A failure is the group's all the same.
    R get() {
        return take<R>("get", [](detail::task_result<R>& done) -> R {
            if (done.failure)
                std::rethrow_exception(done.failure);
            return done.take();
        });
    }
    result<R> try_get() { return take<R>("try_get", result_of); }

private:
    friend class task_group;

    explicit task(detail::fiber_core* core) noexcept : fiber_handle(core) {}

    static result<R> result_of(detail::task_result<R>& done) {
        if (done.failure)
            return result<R>(done.failure);
        if constexpr (std::is_void_v<R>)
            return result<R>(std::in_place);
        else
            return result<R>(std::in_place, done.take());
    }
};

namespace detail {

// Where task_group::start() waits for its fiber.
struct start_state {
    biased_lock lock;
    wait_list waiting;
    bool over = false; // it has reported, or ended
    bool reported = false;
    std::exception_ptr failure; // of a fiber that ended without reporting

    void end() noexcept;
    // False if the caller was cancelled.
    [[nodiscard]] bool wait(cancellation cancels) noexcept;
};

[[noreturn]] void throw_reported_twice();
std::exception_ptr ended_unready();

} // namespace detail

// What task_group::start() gives the function that it starts, to say that it is ready, and with what.
template <class T = void> class readiness {
public:
    readiness(readiness const&) = delete;
    readiness& operator=(readiness const&) = delete;
    ~readiness() = default;

    // Lets start() return. Once only: std::logic_error.
    template <class... Value> void ready(Value&&... value) {
        if (state_ == nullptr)
            detail::throw_reported_twice();
        value_->emplace(std::forward<Value>(value)...);
        state_->reported = true;
        std::exchange(state_, nullptr)->end();
    }

private:
    friend class task_group;
    using stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

    readiness(detail::start_state& state, std::optional<stored>& value) noexcept
        : state_(&state), value_(&value) {}

    detail::start_state* state_; // null: start() has returned, or is about to
    std::optional<stored>* value_;
};

class task_group : private detail::end_observer {
public:
    explicit task_group(failure_policy policy = failure_policy::cancel_siblings);
    task_group(task_group const&) = delete;
    task_group& operator=(task_group const&) = delete;

    // Waits for the fibers in it, cancelling them first if it is left by an exception. Failures that wait() has not thrown go to
    // run_options::on_unhandled, as destructors don't throw: call wait() at the end of the block, or use with_task_group.
    ~task_group();

    // Starts `function` as a fiber in the group. Otherwise as weft::spawn.
    template <class F>
    auto spawn(spawn_options const& options, F&& function,
               source_location site = source_location::current()) {
        require_own_worker();
        detail::fiber_core* const child = detail::start(options, std::forward<F>(function),
                                                        {.site = site, .scope = &scope_, .observer = this});
        ++live_; // it has not run yet
        return task<detail::call_result<std::decay_t<F>>>(child);
    }
    template <class F> auto spawn(F&& function, source_location site = source_location::current()) {
        return spawn(spawn_options{}, std::forward<F>(function), site);
    }

    // Starts function(readiness<T>&) in the group, and waits until it says that it is ready; returns what it said. The fiber
    // then goes on. If it ends before that, start() throws what ended it, and the group is as before; if the caller is cancelled
    // while it waits, so is the fiber, and start() throws weft::cancelled when that has ended, or is ready all the same.
    template <class T = void, class F>
    T start(spawn_options const& options, F&& function, source_location site = source_location::current()) {
        detail::throw_if_cancelled();
        detail::start_state state;
        std::optional<typename readiness<T>::stored> value;
        auto child = spawn(
            options,
            [&state, &value, call = std::decay_t<F>(std::forward<F>(function))]() mutable {
                readiness<T> status(state, value);
                try {
                    call(status);
                } catch (detail::fiber_exit const&) { // pthread_exit(3): its own end, not the starter's
                    if (status.state_ != nullptr) {
                        state.failure = detail::ended_unready();
                        state.end();
                    }
                    throw;
                } catch (...) {
                    if (status.state_ == nullptr)
                        throw;
                    state.failure = detail::failure_in_flight();
                }
                if (status.state_ != nullptr) {
                    if (!state.failure)
                        state.failure = detail::ended_unready();
                    state.end();
                }
            },
            site);
        wait_for_start(state, child);
        if constexpr (!std::is_void_v<T>)
            return std::move(*value);
    }
    template <class T = void, class F>
    T start(F&& function, source_location site = source_location::current()) {
        return start<T>(spawn_options{}, std::forward<F>(function), site);
    }

    // Waits until no fiber is left in the group. Throws exception_group if any failed; else weft::cancelled, if the caller is.
    // Cancelled by a scope around the group, it still waits for the fibers, which are cancelled, too; by one that lies inside
    // the group's block, it throws weft::cancelled at once, and they go on. More may be spawned afterwards.
    void wait();

    // Cancels every fiber that is in the group now or later.
    void cancel(std::string reason = "the task group was cancelled");
    [[nodiscard]] bool cancel_called() const noexcept { return scope_.cancelled; }

    // Fibers in the group that have not ended.
    [[nodiscard]] std::size_t size() const noexcept { return live_; }

private:
    template <class Body> friend void with_task_group(failure_policy policy, Body&& body);

    // While it lives, the calling fiber's waits end when the group is cancelled.
    class membership {
    public:
        explicit membership(task_group& group) noexcept : group_(group) { detail::move_into(group.scope_); }
        membership(membership const&) = delete;
        membership& operator=(membership const&) = delete;
        ~membership() { detail::move_into(*group_.scope_.parent); }

    private:
        task_group& group_;
    };

    // The body of with_task_group threw what is being handled: an error, or weft::cancelled.
    void body_failed();
    void body_cancelled();
    // ... or what must not be caught: passes it on, once the group has ended.
    [[noreturn]] void body_left();

    void child_ended(detail::fiber_core& child) noexcept;
    void add_failure(char const* fiber, std::exception_ptr failure) noexcept;
    detail::wake_cause wait_for_all(detail::cancellation cancels) noexcept;
    static void wait_for_start(detail::start_state& state, fiber_handle& child);
    void require_own_worker() const;

    detail::scope_node scope_;
    detail::fiber_core* const owner_;
    failure_policy const policy_;
    int const unwinding_; // exceptions in flight when it was made
    std::size_t live_ = 0;
    std::vector<exception_group::failure> failures_; // that nobody has seen yet
    detail::biased_lock lock_; // for waiting_, as its waiters expect one; all happens on one worker
    detail::wait_list waiting_;
};

// Calls body(group), and waits for the group as wait() does. The body belongs to the group: it is cancelled with it, and an exception that
// leaves it is a failure like that of a fiber in it, whatever the policy for those. Returns if nothing failed, also if cancel()
// ended it.
template <class Body> void with_task_group(failure_policy policy, Body&& body) {
    task_group group(policy);
    try {
        task_group::membership const inside(group);
        std::forward<Body>(body)(group);
    } catch (cancelled const&) {
        group.body_cancelled();
    } catch (detail::fiber_exit const&) {
        group.body_left();
    } catch (...) {
        if (std::current_exception() == nullptr) // the thread ends, by pthread_exit(3) on main
            group.body_left();
        group.body_failed();
    }
    group.wait();
}
template <class Body> void with_task_group(Body&& body) {
    with_task_group(failure_policy::cancel_siblings, std::forward<Body>(body));
}

} // namespace weft
