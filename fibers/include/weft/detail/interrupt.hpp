// interrupt: how a signal's handler ends the wait of a fiber, as it would that of a thread.
//
// Threads wait in the kernel, which ends the call of the one that the handler ran on. Fibers wait beside a thread, so it must be
// decided whose call was interrupted. To the kernel, a process's signals are first of all its main thread's; to us they are
// the main fiber's. The rules:
//   1. A handler that runs while a fiber computes interrupts no call of that fiber.
//   2. Otherwise it ends the wait of the worker's main fiber, if that waits in a call that it can end;
//   3. else, if no fiber was running, that of the oldest fiber of which this is true.
#pragma once

#include <cstdint>

namespace weft::detail {

// A handler of the program runs, or is about to, on the calling thread; `restarts`: it was installed with SA_RESTART.
// Async-signal-safe. Does nothing on a thread that is no worker.
void signal_handled(bool restarts) noexcept;

// How many handlers have run on this thread. Who must not miss one between a look and a wait compares it.
extern __thread std::uint32_t volatile handled_signals __attribute__((tls_model("initial-exec")));

// Whether a handler of the program runs on this thread right now: what it wakes must not touch what it may have interrupted.
extern __thread bool in_signal_handler __attribute__((tls_model("initial-exec")));

} // namespace weft::detail
