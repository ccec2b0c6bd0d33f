#include <algorithm>
#include <string>

#include <weft/detail/call_counts.hpp>
#include <weft/detail/interrupt.hpp>
#include <weft/detail/misuse.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/scope.hpp>
#include <weft/this_fiber.hpp>

#include "park_hook.hpp"
#include "worker.hpp"

namespace weft::detail {

__thread call_counts thread_counts;

namespace {

void deliver_wake(inbox_message& message) noexcept;

bool win(fiber_core& fiber) noexcept {
    auto expected = park_state::parked;
    return fiber.state.compare_exchange_strong(expected, park_state::woken, std::memory_order_acq_rel);
}

void deliver_wake(inbox_message& message) noexcept {
    fiber_core& fiber = fiber_of(message);
    fiber.home->make_ready(fiber);
}

// The wait of a patched call ends by ECANCELED, of which nobody else may hear: its scope remembers.
wake_cause cancelled_wait(fiber_core const& fiber) noexcept {
    if (fiber.interruptible != interruption::none)
        if (scope_node* const by = end_by_cancelled(fiber.scope))
            by->failed_calls = true;
    return wake_cause::cancelled;
}

[[noreturn]] void refuse_switch(char const* operation, std::intptr_t subject) noexcept {
    fiber_core const& self = *current_fiber;
    source_location const& place = self.no_switch->place;
    std::string message =
        std::string("weft: fiber \"") + self.name + "\" would switch in a no_switch region, by " + operation;
    if (subject != -1)
        message += " (" + std::to_string(subject) + ")";
    message += "; the region began at " + std::string(place.file_name()) + ":" + std::to_string(place.line());
    fail_misuse(message.c_str());
}

} // namespace

// A deadline that has ended a wait has cancelled its scope for good: moving it afterwards must not make that wait's end a riddle.
void time_out(timer_node& node) noexcept {
    auto const offset = offsetof(fiber_core, timer);
    fiber_core& fiber = *reinterpret_cast<fiber_core*>(reinterpret_cast<char*>(&node) - offset);
    if (fiber.cancels == cancellation::heeded && fiber.scope != nullptr &&
        node.deadline < fiber.call_deadline) {
        scope_bounds const bounds = bounds_of(fiber.scope);
        if (bounds.deadline <= clock::now()) {
            if (!claim(fiber, wake_cause::cancelled))
                return; // woken already: the deadline has not ended this wait
            cancel(*bounds.limiting, {});
            deliver(fiber);
            return;
        }
    }
    wake(fiber, wake_cause::timed_out);
}

bool cancel_park(fiber_core& fiber) noexcept {
    if (!win(fiber))
        return false;
    fiber.state.store(park_state::running, std::memory_order_relaxed);
    return true;
}

wake_cause park(wait_reason reason, time_point deadline, interruption interruptible,
                cancellation cancels) noexcept {
    fiber_core& self = *current_fiber;
    if (self.no_switch != nullptr) [[unlikely]]
        refuse_switch(reason.operation(), reason.subject());
    self.reason = reason;
    self.interruptible = interruptible;
    self.cancels = interruptible != interruption::none && cancels != cancellation::never_heeded
                       ? cancellation::heeded
                       : cancels;
    self.call_deadline = deadline;
    if (auto* const hook = park_hook.load(std::memory_order_relaxed)) [[unlikely]]
        hook(reason.operation());
    bool const in_scope = self.cancels == cancellation::heeded && self.scope != nullptr;
    if (in_scope) {
        if (find_cancelled(self.scope) != nullptr && cancel_park(self))
            return cancelled_wait(self);
        deadline = std::min(deadline, bounds_of(self.scope).deadline);
    }
    ++thread_counts.parked;
    if (deadline != never) {
        self.timer.deadline = deadline;
        self.home->arm_timer(self.timer);
    }
    self.home->switch_out();
    self.timer.deadline = never;
    self.state.store(park_state::running, std::memory_order_relaxed);
    return self.cause == wake_cause::cancelled ? cancelled_wait(self) : self.cause;
}

bool claim(fiber_core& fiber, wake_cause cause) noexcept {
    if (!win(fiber))
        return false;
    fiber.cause = cause;
    return true;
}

void deliver(fiber_core& fiber) noexcept {
    worker& home = *fiber.home;
    if (this_worker == &home && !in_signal_handler) {
        home.make_ready(fiber);
    } else {
        fiber.remote_wake.deliver = deliver_wake;
        home.post(fiber.remote_wake);
    }
}

bool wake(fiber_core& fiber, wake_cause cause) noexcept {
    bool const won = claim(fiber, cause);
    if (won)
        deliver(fiber);
    return won;
}

void yield() noexcept {
    fiber_core& self = *current_fiber;
    self.calls_since_switch = 0;
    if (self.no_switch != nullptr) [[unlikely]]
        refuse_switch("yield", -1);
    self.home->make_ready(self);
    self.home->switch_out();
}

wake_cause sleep_until(wait_reason reason, time_point deadline, interruption interruptible,
                       cancellation cancels) noexcept {
    begin_park(*current_fiber);
    return park(reason, deadline, interruptible, cancels);
}

} // namespace weft::detail
