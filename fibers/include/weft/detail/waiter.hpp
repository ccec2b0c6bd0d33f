// waiter: one fiber or plain thread on a wait_list. It lies on the stack of the one that waits.
#pragma once

#include <atomic>
#include <cstdint>

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

struct waiter {
    waiter* next = nullptr;
    waiter* previous = nullptr;
    fiber_core* fiber = current_fiber;          // null: a plain thread, which sleeps on `thread_state`
    std::atomic<std::uint32_t> thread_state{0}; // a park_state, as a futex word
    bool linked = false;

    // To be called before the waiter is put on a list.
    void begin() noexcept;

    // Waits until wake() or `deadline`.
    wake_cause wait(wait_reason reason, time_point deadline) noexcept;

    // Wakes the one that waits; false if its deadline was first. After true the waiter may be gone.
    bool wake() noexcept;
};

} // namespace weft::detail
