// What AddressSanitizer must be told about fibers: which stack a thread runs on, and that a stack's old frames are gone.
// Without it, these functions are empty.
//
// A switch is announced (start) on the stack that is left and confirmed (finish) on the stack that is entered. Boost's
// context switch lies between; it is not instrumented. Code of ours may run before the confirmation: it only must not
// throw.
#pragma once

#include <cstddef>

#include <weft/detail/fiber_core.hpp>

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ADDRESS_SANITIZER 1
#endif
#endif

#ifdef WEFT_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace weft::detail {

#ifdef WEFT_ADDRESS_SANITIZER

inline void start_switch(fiber_core& from, fiber_core& to) noexcept {
    __sanitizer_start_switch_fiber(from.context_ends ? nullptr : &from.sanitizer_stack, to.stack.low,
                                   to.stack.size);
    to.sanitizer_pending = true;
}

inline void finish_switch(fiber_core& entered) noexcept {
    if (!entered.sanitizer_pending)
        return;
    entered.sanitizer_pending = false;
    __sanitizer_finish_switch_fiber(entered.sanitizer_stack, nullptr, nullptr);
}

inline void forget_stack_frames(char* low, std::size_t size) noexcept {
    __asan_unpoison_memory_region(low, size);
}

#else

inline void start_switch(fiber_core& /*from*/, fiber_core& /*to*/) noexcept {}
inline void finish_switch(fiber_core& /*entered*/) noexcept {}
inline void forget_stack_frames(char* /*low*/, std::size_t /*size*/) noexcept {}

#endif

} // namespace weft::detail
