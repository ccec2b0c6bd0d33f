// futexes: futex(2), as programs call it by syscall(): std::atomic's wait, std::future, std::counting_semaphore, Rust's locks.
//
// A fiber waits in the parking lot, a plain thread in the kernel; who wakes, wakes both, fibers first. A futex that is shared with other
// processes is looked at again and again, as their wake-ups can't be seen: its waits end without reason now and then,
// which futex(2) allows.
#pragma once

#include <array>

namespace weft::detail {

// As syscall(SYS_futex, ...), by a fiber or a plain thread.
long call_futex(std::array<long, 6> const& arguments);

} // namespace weft::detail
