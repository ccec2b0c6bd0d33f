// wait_reason: why a fiber waits, what may end the wait, and what did.
#pragma once

#include <cstdint>

namespace weft::detail {

class sync_object;
struct fiber_core;

// Of waits that nothing but a fiber, or a thread of this process, can end, it says what for: that is how a dead end is found.
struct by_fibers_tag {};
inline constexpr by_fibers_tag by_fibers;

// For people. Two words, to be handed on in registers and kept in every fiber.
class wait_reason {
public:
    // `operation` is a string literal ("recv").
    constexpr wait_reason(char const* operation = "") noexcept : operation_(operation) {}

    // What it concerns: a descriptor's number, or a count.
    constexpr wait_reason(char const* operation, std::intptr_t subject) noexcept
        : operation_(operation), rest_((static_cast<std::uintptr_t>(subject) << kind_bits) | number) {}

    wait_reason(char const* operation, sync_object const& object) noexcept
        : operation_(operation), rest_(reinterpret_cast<std::uintptr_t>(&object) | for_object) {}

    // To be joined.
    wait_reason(char const* operation, fiber_core const& fiber) noexcept
        : operation_(operation), rest_(reinterpret_cast<std::uintptr_t>(&fiber) | for_fiber) {}

    // For fibers, or threads of the process, in some other way.
    constexpr wait_reason(char const* operation, by_fibers_tag /*tag*/) noexcept
        : operation_(operation), rest_(for_some) {}

    [[nodiscard]] constexpr char const* operation() const noexcept { return operation_; }

    // -1: none.
    [[nodiscard]] std::intptr_t subject() const noexcept {
        return is(number) ? static_cast<std::intptr_t>(rest_) >> kind_bits : -1;
    }
    // Null: none.
    [[nodiscard]] sync_object const* object() const noexcept {
        return is(for_object) ? reinterpret_cast<sync_object const*>(rest_ - for_object) : nullptr;
    }
    [[nodiscard]] fiber_core const* fiber() const noexcept {
        return is(for_fiber) ? reinterpret_cast<fiber_core const*>(rest_ - for_fiber) : nullptr;
    }

    // Whether a fiber, or thread, of this process must act for it to end.
    [[nodiscard]] bool inside() const noexcept { return is(for_object) || is(for_fiber) || is(for_some); }

private:
    // In the low bits of `rest_`, which an address leaves free.
    static constexpr unsigned kind_bits = 3;
    static constexpr std::uintptr_t number = 1;
    static constexpr std::uintptr_t for_object = 2;
    static constexpr std::uintptr_t for_fiber = 3;
    static constexpr std::uintptr_t for_some = 4;

    [[nodiscard]] bool is(std::uintptr_t kind) const noexcept {
        return (rest_ & ((1U << kind_bits) - 1)) == kind;
    }

    char const* operation_;
    std::uintptr_t rest_ = 0;
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
enum class cancellation : std::uint8_t {
    ignored,
    heeded,
    never_heeded, // even if a signal's handler ends the wait
};

} // namespace weft::detail
