// wait_reason: why a fiber waits, and what ended the wait.
#pragma once

#include <cstdint>

namespace weft::detail {

// For people: `operation` is a string literal ("recv"), `subject` what it concerns (a descriptor's number), or -1.
struct wait_reason {
    char const* operation = "";
    std::intptr_t subject = -1;
};

// The waker says it, not the clock: a wake that comes just before the deadline is no time-out.
enum class wake_cause : std::uint8_t { notified, timed_out, closed };

} // namespace weft::detail
