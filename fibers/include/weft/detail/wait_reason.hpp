// wait_reason: why a fiber waits, what may end the wait, and what did.
#pragma once

#include <cstdint>

namespace weft::detail {

class sync_object;
struct fiber_core;

// For people: `operation` is a string literal ("recv"), `subject` what it concerns (a descriptor's number), or -1. Of waits that nothing but
// a fiber, or a thread of the program, can end, it says what for: that is how a dead end is found.
struct wait_reason {
    char const* operation = "";
    std::intptr_t subject = -1;
    sync_object const* object = nullptr;
    fiber_core const* fiber = nullptr; // to be joined
    bool by_fibers = false;            // of fibers, or of threads of the process, in some other way

    // Whether a fiber, or thread, of this process must act for it to end.
    [[nodiscard]] bool inside() const noexcept { return object != nullptr || fiber != nullptr || by_fibers; }
};

// The waker says it, not the clock: a wake that comes just before the deadline is no time-out.
enum class wake_cause : std::uint8_t { notified, timed_out, closed, interrupted, cancelled };

// Whether a signal's handler ends the wait, as signal(7) says of the call.
enum class interruption : std::uint8_t {
    none,
    unless_restarted, // only a handler without SA_RESTART
    always,
};

// Whether the wait ends when the fiber is cancelled: scope.hpp.
enum class cancellation : std::uint8_t { ignored, heeded };

} // namespace weft::detail
