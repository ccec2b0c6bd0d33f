// The seam to Boost.Fiber's contexts: how a fiber_core gets a context to run on, and back from a context to its core.
//
// All that knows boost::fibers::context is here and in scheduler.cpp.
#pragma once

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

// The core that belongs to a context. A context that Boost's own API made (boost::fibers::fiber beside weft::spawn) is
// given one, which lives as long as it.
fiber_core& core_of(boost::fibers::context& context, worker& home) noexcept;

bool is_dispatcher(boost::fibers::context const& context) noexcept;

// Where Boost allocated the dispatcher's stack, near enough for AddressSanitizer.
stack_memory dispatcher_stack(boost::fibers::context& context) noexcept;

// Makes the calling thread's own context `core`'s, to run under the algorithm installed next.
void adopt_main_context(fiber_core& core) noexcept;
void release_main_context(fiber_core& core) noexcept;

// Room at the top of `stack`, `offset` bytes lower than it could be, for an object of that size and alignment, below
// which start_context() puts the rest.
void* reserve_top(stack_memory const& stack, std::size_t size, std::size_t alignment,
                  std::size_t offset) noexcept;

// Gives `core`, which lies where reserve_top() said, a context of the calling worker. It runs one task after the other, with finish()
// and rest() after each, until its context_ends is set; context_ended() is called by the dispatcher once the context is gone.
void start_context(fiber_core& core);

// The fiber, which has not ended, is left to itself: Boost's end of the thread doesn't wait for it.
void detach_context(fiber_core& core) noexcept;

} // namespace weft::detail
