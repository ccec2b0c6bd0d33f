// lock_owner: who holds a lock that knows its owner. A number that no other fiber or thread of the process has: a fiber's own, a
// plain thread's id, and for a worker's main fiber (and its scheduler) the id of their thread. In 30 bits, as pthread's locks have room
// for no more: a fiber that lives on while 2^30 others are spawned meets one with its number.
#pragma once

#include <weft/detail/system_call.hpp>

namespace weft::detail {

// The calling fiber's or thread's, 0 until this thread has been asked for it. It stays a fiber's while a signal's handler
// interrupts the fiber.
extern __thread int current_lock_owner __attribute__((tls_model("initial-exec")));

inline int lock_owner() noexcept {
    if (current_lock_owner == 0)
        current_lock_owner = static_cast<int>(system_call(SYS_gettid));
    return current_lock_owner;
}

// Of a fiber: thread ids stay below this (the kernel's PID_MAX_LIMIT is 2^22).
inline int fiber_lock_owner(unsigned long long id) noexcept {
    constexpr unsigned fiber = 1U << 30;
    return static_cast<int>(fiber | (id & (fiber - 1)));
}

} // namespace weft::detail
