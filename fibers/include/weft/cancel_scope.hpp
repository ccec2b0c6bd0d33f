// cancel_scope: a stretch of a fiber's work that can be cancelled, or that ends at a deadline.
//
//     weft::cancel_scope scope(2s);
//     bool const in_time = scope.run([&] { n = recv(fd, buffer, sizeof buffer, 0); }); // -1 with ECANCELED when 2 s are over
//
// What is cancelled stays so (it is level-triggered): until the scope is left, every wait in it ends at once, and calls that may wait fail
// even if they needn't. weft's own calls throw weft::cancelled; patched calls of libc, which can carry no exception, return -1 with
// ECANCELED. A C library that a request calls inherits the request's deadline that way. run() catches weft::cancelled where it is this
// scope's; without it, it goes on past the scope's end.
//
// Scopes nest: a scope is cancelled as well when one around it is, but for a shielded one. Not cancelled are waits for locks (of
// pthread, and what the standard library makes of futexes), which the code around relies on; name look-ups and other calls that can't be
// taken back; and calls of weft's while an exception is in flight, so that nothing is thrown while unwinding. A handle that is destroyed
// waits, too, but cancels the fiber that it waits for.
//
// A scope is entered where it is made and left where it is destroyed, by one fiber, inner ones first. Its members may be called by
// every fiber of the same worker. Throws std::logic_error where it can't be: off fibers, or on another worker.
#pragma once

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <weft/clock.hpp>
#include <weft/detail/scope.hpp>

namespace weft {

// Ends a wait of weft's own calls. Not a std::exception, so that handlers for errors don't swallow it: rethrow what you catch by `...`.
class cancelled {
public:
    explicit cancelled(std::string reason) : reason_(std::move(reason)) {}

    // What cancel() was told, or "the deadline has passed".
    [[nodiscard]] std::string const& reason() const noexcept { return reason_; }

private:
    std::string reason_;
};

class [[nodiscard]] cancel_scope {
public:
    // No deadline.
    cancel_scope() : cancel_scope(never) {}
    explicit cancel_scope(time_point deadline);
    template <class Rep, class Period>
    explicit cancel_scope(std::chrono::duration<Rep, Period> duration)
        : cancel_scope(deadline_after(duration)) {}
    cancel_scope(cancel_scope const&) = delete;
    cancel_scope& operator=(cancel_scope const&) = delete;
    ~cancel_scope();

    // From now on every wait in the scope ends. Again: nothing more; the first reason stays.
    void cancel(std::string reason = "cancelled");

    // Whether cancel() was called, or the deadline has passed. (A scope around this one may be cancelled, too.)
    [[nodiscard]] bool cancel_called() const noexcept;

    // Once it has passed and ended a wait, the scope is cancelled for good, and setting another changes nothing.
    [[nodiscard]] time_point deadline() const noexcept { return node_.deadline; }
    void set_deadline(time_point deadline);

    // Cancellations from outside don't reach inside as long as it is shielded: for cleaning up.
    [[nodiscard]] bool shielded() const noexcept { return node_.shielded; }
    void shield(bool on = true);

    // Calls function(); true if it returned by itself. False if this scope ended it: `cancelled`, which is caught then (one of a scope further out
    // passes), or patched calls in it failed by ECANCELED.
    template <class F> bool run(F&& function) {
        try {
            std::forward<F>(function)();
            return !node_.failed_calls;
        } catch (cancelled const&) {
            if (!ends_here())
                throw;
            return false;
        }
    }

private:
    // Whether `cancelled` is this scope's, and not that of one further out, which is to end, too.
    [[nodiscard]] bool ends_here() const noexcept;
    void require_own_worker(char const* function) const;

    detail::scope_node node_;
    detail::fiber_core* fiber_;
};

// Calls function(), whose waits end at the limit: a duration or a time_point. True if it returned by itself, and no patched call in it failed by
// ECANCELED because of the limit.
template <class Time, class F> bool move_on_after(Time limit, F&& function) {
    cancel_scope scope(limit);
    return scope.run(std::forward<F>(function));
}

// The same, where being late is an error: returns what function() does, throws std::system_error (timed_out) where move_on_after says false.
template <class Time, class F> auto fail_after(Time limit, F&& function) {
    using result = std::invoke_result_t<F&>;
    cancel_scope scope(limit);
    auto const too_late = [] {
        return std::system_error(std::make_error_code(std::errc::timed_out),
                                 "weft::fail_after: the time limit has passed");
    };
    if constexpr (std::is_void_v<result>) {
        if (!scope.run(function))
            throw too_late();
    } else {
        std::optional<result> value;
        if (!scope.run([&] { value.emplace(function()); }))
            throw too_late();
        return std::move(*value);
    }
}

// A scope with that deadline, for code that asks it afterwards: auto scope = weft::move_on_after(2s);
template <class Time> [[nodiscard]] cancel_scope move_on_after(Time limit) { return cancel_scope(limit); }

namespace this_fiber {

// Throws weft::cancelled if the calling fiber is cancelled. For long computations, which wait for nothing; in an offloaded call, if the fiber that
// waits for it is.
void check_cancelled();

// Whether it is.
[[nodiscard]] bool is_cancelled() noexcept;

} // namespace this_fiber

} // namespace weft
