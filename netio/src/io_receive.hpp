// What the receiving calls share.
#pragma once

#include <sys/socket.h>

namespace weft::detail::io {

// With these the kernel doesn't wait: what is there is taken, or an error says why not. Sockets that don't know the last two wait
// all the same: see ignores().
constexpr bool never_waits(int flags) noexcept {
    return (flags & (MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB)) != 0;
}

// After EAGAIN: whether the socket takes no notice of MSG_ERRQUEUE or MSG_OOB.
bool ignores(int fd, int flags) noexcept;

} // namespace weft::detail::io
