// child_wait: waits on a fiber for a change of a child process.
//
// A child that is waited for by its id, to its end, is waited for by a pidfd. The rest (any child, a process group, stops) the
// kernel tells only to a thread that waits: one thread for each kind of wait in progress, which looks without taking
// (WNOWAIT) and wakes the fibers that asked.
#pragma once

#include <sys/types.h>
#include <sys/wait.h>

namespace weft::detail {

// On a fiber, after a look found nothing: returns true when it may be worth looking again for a child that
// waitid(2) would find by `type`, `id` and `options`; false with EINTR, if a handler without SA_RESTART has run, or with
// EAGAIN, if `id` is a pidfd that the program made non-blocking.
bool wait_for_child(idtype_t type, id_t id, int options) noexcept;

} // namespace weft::detail
