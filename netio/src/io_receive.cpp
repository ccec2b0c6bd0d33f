#include <cerrno>

#include "io.hpp"
#include "io_call.hpp"

namespace weft::detail::io {
namespace {

// These never wait in the kernel: what is there is taken, or an error says why not.
constexpr int immediate = MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB;

// Descriptors that came with a message are new to us.
void note_passed_descriptors(msghdr& message) noexcept {
    if (message.msg_control == nullptr || message.msg_controllen == 0)
        return;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        std::size_t const count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            __builtin_memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
            descriptor_closing(fd);
        }
    }
}

std::size_t room(msghdr const& message) noexcept {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < message.msg_iovlen; ++i)
        sum += message.msg_iov[i].iov_len;
    return sum;
}

// MSG_WAITALL on a stream: more is to be waited for, after `got` of `asked`.
bool wants_more(io_call const& call, int flags, std::size_t got, std::size_t asked) noexcept {
    return (flags & MSG_WAITALL) != 0 && call.is(descriptor::stream) && got < asked;
}

// Whether nothing more will come after what is there.
bool at_end(int fd) noexcept {
    return (sys::events_now(fd, POLLRDHUP) & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

} // namespace

ssize_t receive(int fd, void* buffer, std::size_t size, int flags, sockaddr* address, socklen_t* length,
                time_point limit) noexcept {
    io_call call(fd);
    if (!call.possible() || (flags & immediate) != 0 || call.known_nonblocking())
        return sys::receive(fd, buffer, size, flags, address, length);
    call.limit(limit);
    if ((flags & MSG_WAITALL) != 0)
        call.learn_socket();
    auto* const bytes = static_cast<char*>(buffer);
    std::size_t got = 0;
    for (;;) {
        if (size == 0 || !call.known_drained()) {
            ssize_t const n =
                sys::receive(fd, bytes + got, size - got, flags | MSG_DONTWAIT, address, length);
            if (n < 0 && errno != EAGAIN)
                return call.done(got > 0 ? static_cast<ssize_t>(got) : n);
            if (n >= 0 && (flags & MSG_PEEK) != 0) {
                if (!wants_more(call, flags, static_cast<std::size_t>(n), size) || at_end(fd))
                    return call.done(n);
            } else if (n >= 0) {
                call.note_read(static_cast<std::size_t>(n), size - got);
                got += static_cast<std::size_t>(n);
                if (n == 0 || !wants_more(call, flags, got, size))
                    return call.done(static_cast<ssize_t>(got));
                continue; // the end of the stream may be there already, and raise no further edge
            }
        }
        if (!call.wait(EPOLLIN, "recv"))
            return got > 0 ? static_cast<ssize_t>(got) : -1;
    }
}

ssize_t receive(int fd, msghdr* message, int flags, time_point limit) noexcept {
    io_call call(fd);
    if (!call.possible() || (flags & immediate) != 0 || call.known_nonblocking())
        return sys::receive(fd, message, flags);
    call.limit(limit);
    // The kernel writes into these even where it then has nothing.
    auto const name_length = message->msg_namelen;
    auto const control_length = message->msg_controllen;
    do {
        if (call.known_drained())
            continue;
        message->msg_namelen = name_length;
        message->msg_controllen = control_length;
        ssize_t const n = sys::receive(fd, message, flags | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            continue;
        if (n >= 0) {
            call.note_read(static_cast<std::size_t>(n), room(*message));
            note_passed_descriptors(*message);
        }
        return call.done(n);
    } while (call.wait(EPOLLIN, "recvmsg"));
    return -1;
}

} // namespace weft::detail::io
