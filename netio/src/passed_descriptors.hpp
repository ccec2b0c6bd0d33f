// passed_descriptors: descriptors that travel with messages, SCM_RIGHTS of unix(7).
#pragma once

#include <sys/socket.h>

namespace weft::detail {

// Those that came with a message are new to us.
void note_received_descriptors(msghdr const& message) noexcept;

// Others hold those that went with a message, too: they may change what is shared.
void note_sent_descriptors(msghdr const& message) noexcept;

} // namespace weft::detail
