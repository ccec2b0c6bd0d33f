// A fiber that overflows its stack runs into its guard. The handler here tells such a fault from any other, says on
// stderr which fiber it was, how large its stack is and how to get a larger one, and aborts. Other faults go to the
// handler that was there before.
#pragma once

namespace weft::detail {

// Process-wide, for SIGSEGV and SIGBUS; called when the first worker starts. Later calls do nothing.
void install_overflow_handler();

// A worker's thread needs a stack for signals: the fiber's own is exhausted. Leaves one that is there already.
void install_overflow_stack();
void remove_overflow_stack() noexcept;

} // namespace weft::detail
