// park: the one function through which every wait of every fiber goes.
//
// The protocol of a wait, with one winner among any number of wakers on any threads:
//   1. begin_park(): the fiber is `parked`. It still runs, but whoever wakes it from now on is heard.
//   2. The fiber makes itself known to its wakers (a waiting list, a descriptor's watch, ...).
//   3. park(): gives the thread away until one waker's wake() has won the exchange parked -> woken.
//   4. The fiber withdraws from those wakers that did not win, before it waits again.
// A waker may touch the fiber only while it is certain that step 4 has not happened, which it knows by holding the
// lock of the list, or by being the fiber's own worker.
#pragma once

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

// The running fiber; only to be called on one.
inline fiber_core& this_core() noexcept { return *current_fiber; }

inline void begin_park(fiber_core& fiber) noexcept {
    fiber.state.store(park_state::parked, std::memory_order_relaxed);
}

// Takes back begin_park() without waiting. False: a waker won before; park() must then be called, and returns at once.
bool cancel_park(fiber_core& fiber) noexcept;

// Suspends the running fiber, for which begin_park() has been called, until wake(), `deadline`, a signal's handler or the fiber's
// cancellation, which also keeps it from being suspended; returns which. Other fibers run meanwhile. errno is kept.
//
// What a handler can end, a cancellation ends, too, as such a call has a way to say so; unless `cancels` says never_heeded.
wake_cause park(wait_reason reason, time_point deadline, interruption interruptible = interruption::none,
                cancellation cancels = cancellation::ignored) noexcept;

// Ends a park, from any thread. False if another waker was first or the fiber is not parked: the caller's event was
// then not consumed by it.
bool wake(fiber_core& fiber, wake_cause cause) noexcept;

// wake() in two steps, for who must let go of a lock in between: claim() wins the fiber, which then stays parked until
// deliver() makes it ready.
bool claim(fiber_core& fiber, wake_cause cause) noexcept;
void deliver(fiber_core& fiber) noexcept;

// What a fiber's timer does: ends its park.
void time_out(timer_node& node) noexcept;

// Lets every other ready fiber run once, and I/O be looked at if it's time.
void yield() noexcept;

// Waits until `deadline`; notified can't be the result.
wake_cause sleep_until(wait_reason reason, time_point deadline,
                       interruption interruptible = interruption::none,
                       cancellation cancels = cancellation::ignored) noexcept;

// Fairness: counts one call that found its event ready and did not wait; after a fair number of them the fiber yields.
inline constexpr std::uint32_t fair_calls = 64;

inline void count_call(fiber_core& fiber) noexcept {
    if (++fiber.calls_since_switch >= fair_calls && fiber.no_switch == nullptr)
        yield();
}

} // namespace weft::detail
