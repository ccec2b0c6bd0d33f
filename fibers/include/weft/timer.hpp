// timer: calls a function at a time, unless it is cancelled before. As asyncio's call_later and Go's time.AfterFunc.
//
//     weft::timer reminder(30s, [session] { session->warn(); }); // on a fiber of its own
//
// The function's fiber, once begun, goes on by itself: neither cancel() nor the timer's end stops it or waits for it. So it must own what it
// uses, as by a std::shared_ptr.
//
// For a limit on a stretch of work, take a cancel_scope or move_on_after instead: they end the work itself.
//
// A timer belongs to the worker that it was set on; its members throw std::logic_error elsewhere. Arming and cancelling are cheap, so that
// there may be a million of them. An armed timer doesn't keep weft::run from returning, and never expires after that; nor in the child
// of a fork, where it isn't armed any more.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include <weft/clock.hpp>
#include <weft/detail/timer_node.hpp>
#include <weft/event.hpp>

namespace weft {

namespace detail {
class worker;
}

class timer : private detail::timer_node {
public:
    // Not armed.
    timer() : timer(never) {}
    // Armed; on a fiber only (std::logic_error). `function`, if there is one, runs in a new fiber each time the timer expires; exceptions that
    // leave it go to run_options::on_unhandled. `never`: not armed.
    explicit timer(time_point when, std::function<void()> function = {});
    template <class Rep, class Period>
    explicit timer(std::chrono::duration<Rep, Period> duration, std::function<void()> function = {})
        : timer(deadline_after(duration), std::move(function)) {}
    timer(timer const&) = delete;
    timer& operator=(timer const&) = delete;
    // Cancels. On the timer's worker, or after the run.
    ~timer();

    // Expires then, instead of when it would have; also again, after it has expired or was cancelled.
    void set(time_point when);
    template <class Rep, class Period> void set(std::chrono::duration<Rep, Period> duration) {
        set(deadline_after(duration));
    }

    // False if it was not armed: it has expired, and the function may be about to run, or running; or it was cancelled before.
    bool cancel();

    [[nodiscard]] bool armed() const noexcept { return deadline != never; }
    // never: not armed.
    [[nodiscard]] time_point expiry() const noexcept { return deadline; }

    // Waits until it isn't armed any more: true if it has expired, false if it was cancelled. Throws weft::cancelled.
    bool wait();

private:
    void expired() noexcept;
    void require_own_worker() const;

    detail::worker* const home_;
    std::function<void()> const function_;
    bool has_expired_ = false;      // since it was last set
    std::uint64_t expirations_ = 0; // ever: for a waiter that runs after it has been set again
    event over_{"timer"};           // not armed
};

} // namespace weft
