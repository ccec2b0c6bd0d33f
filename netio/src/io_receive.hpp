// What the receiving calls share.
#pragma once

#include <sys/socket.h>

namespace weft::detail::io {

// With these the kernel never waits: what is there is taken, or an error says why not.
constexpr bool never_waits(int flags) noexcept {
    return (flags & (MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB)) != 0;
}

} // namespace weft::detail::io
