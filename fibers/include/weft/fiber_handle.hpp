// fiber_handle: what the handles of fibers, fiber<R> and task<R>, have in common.
//
// A handle refers to one fiber, or to none. It may be moved to, and used by, any thread, one at a time; waiting works on fibers
// and on plain threads. A member that needs a fiber throws std::logic_error if there is none.
//
// Two ways to make a fiber end before its time:
//   - request_stop() asks: the function sees it in its stop token, whenever it looks. Waits go on.
//   - cancel() ends the fiber's waits, all from now on: cancel_scope.hpp tells how. The function ends by weft::cancelled, unless it
//     has something better to do.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <weft/clock.hpp>
#include <weft/detail/task.hpp>
#include <weft/source_location.hpp>

namespace weft {

namespace detail {
struct handle_access;
}

// What get() throws of a fiber that was cancelled. The fiber itself saw weft::cancelled; to others it is an error like any other.
class fiber_cancelled : public std::runtime_error {
public:
    fiber_cancelled(std::string_view fiber, std::string_view reason);
};

class fiber_handle {
public:
    fiber_handle(fiber_handle const&) = delete;
    fiber_handle& operator=(fiber_handle const&) = delete;

    // Whether the handle refers to a fiber.
    [[nodiscard]] bool joinable() const noexcept { return core_ != nullptr; }

    // Whether the fiber has ended, so that join() and get() won't wait.
    [[nodiscard]] bool done() const;

    // Waits until the fiber has ended. An exception that ended it stays there for get(). The handle still refers to the
    // fiber. Throws std::system_error (resource_deadlock_would_occur) on the fiber itself; weft::cancelled, if the caller is.
    void join();

    // As join(), but no longer than `deadline`: whether the fiber has ended.
    [[nodiscard]] bool join_until(time_point deadline);
    template <class Rep, class Period>
    [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> duration) {
        return join_until(deadline_after(duration));
    }

    // Asks the fiber to stop: see its stop token. True if nobody had asked before.
    bool request_stop();
    [[nodiscard]] std::stop_token get_stop_token();

    // Ends the fiber's waits from now on; nothing happens if it has ended. Takes effect at once for a fiber of the calling worker, else
    // as soon as its worker gets to it. Throws std::bad_alloc.
    void cancel(std::string reason = "cancelled");

    // Calls callback(failure) on the fiber's worker when the fiber has ended: on the ending fiber, which nobody then waits for any
    // more. At once, on the caller, if it has ended already. `failure`: the exception that get() would throw, or null; a callback may
    // also take nothing. Exceptions that leave it go to run_options::on_unhandled. It must not destroy the handle.
    template <class Callback> void on_done(Callback&& callback) {
        if constexpr (std::is_invocable_v<Callback&, std::exception_ptr>)
            add_callback(std::forward<Callback>(callback));
        else
            add_callback(
                [call = std::forward<Callback>(callback)](std::exception_ptr const&) mutable { call(); });
    }

    // A number that no other fiber of the process has; 0 if there is no fiber.
    [[nodiscard]] std::uint64_t id() const noexcept { return core_ != nullptr ? core_->id : 0; }
    // Valid as long as the handle. Empty if there is no fiber.
    [[nodiscard]] std::string_view name() const noexcept {
        return core_ != nullptr ? std::string_view(core_->name) : std::string_view();
    }
    // The id of the fiber that spawned it; 0 if it was none, or there is no fiber.
    [[nodiscard]] std::uint64_t parent_id() const noexcept { return core_ != nullptr ? core_->parent : 0; }
    // Where spawn was called.
    [[nodiscard]] source_location spawn_site() const noexcept {
        return core_ != nullptr ? core_->site : source_location();
    }

protected:
    explicit fiber_handle(detail::fiber_core* core) noexcept : core_(core) {}
    fiber_handle(fiber_handle&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
    ~fiber_handle() = default;

    // `function`: for the error message.
    [[nodiscard]] detail::fiber_core& require(char const* function) const;

    // join(), then the fiber's task, which the caller takes the result from; the handle refers to no fiber any more, but knows which it was.
    // Throws what ended the fiber. `R`: what its function returns.
    template <class R, class Taker> decltype(auto) take(char const* function, Taker&& taker) {
        detail::fiber_core& core = require(function);
        join();
        taken_ = core.id;
        struct releaser {
            ~releaser() { handle.release(); }
            fiber_handle& handle;
        } const at_end{*this};
        return taker(static_cast<detail::task_result<R>&>(*core.task));
    }

    // As fiber<R>'s.
    void detach();

    // As ~fiber() says.
    void stop_and_join() noexcept;
    void release() noexcept;

    detail::fiber_core* core_; // holds a reference, unless null

private:
    friend detail::handle_access;

    std::uint64_t taken_ = 0; // of the fiber whose result was taken, for whoever asks again

    void add_callback(std::function<void(std::exception_ptr)> callback);
};

} // namespace weft
