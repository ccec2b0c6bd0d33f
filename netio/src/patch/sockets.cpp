// The patched socket calls. Each is libc's own on a thread that runs no fiber: one branch more.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "../descriptor.hpp"
#include "../io.hpp"
#include "../io_call.hpp"
#include "../passed_descriptors.hpp"
#include "libc_function.hpp"
#include "on_fiber.hpp"

using weft::detail::descriptor;
using weft::detail::libc_function;
using weft::detail::on_fiber;
namespace io = weft::detail::io;

namespace {

constexpr libc_function<"socket", int(int, int, int)> libc_socket;
constexpr libc_function<"socketpair", int(int, int, int, int*)> libc_socketpair;
constexpr libc_function<"accept", int(int, sockaddr*, socklen_t*)> libc_accept;
constexpr libc_function<"accept4", int(int, sockaddr*, socklen_t*, int)> libc_accept4;
constexpr libc_function<"connect", int(int, sockaddr const*, socklen_t)> libc_connect;
constexpr libc_function<"recv", ssize_t(int, void*, size_t, int)> libc_recv;
constexpr libc_function<"recvfrom", ssize_t(int, void*, size_t, int, sockaddr*, socklen_t*)> libc_recvfrom;
constexpr libc_function<"recvmsg", ssize_t(int, msghdr*, int)> libc_recvmsg;
constexpr libc_function<"send", ssize_t(int, void const*, size_t, int)> libc_send;
constexpr libc_function<"sendto", ssize_t(int, void const*, size_t, int, sockaddr const*, socklen_t)>
    libc_sendto;
constexpr libc_function<"sendmsg", ssize_t(int, msghdr const*, int)> libc_sendmsg;
constexpr libc_function<"recvmmsg", int(int, mmsghdr*, unsigned, int, timespec*)> libc_recvmmsg;
constexpr libc_function<"sendmmsg", int(int, mmsghdr*, unsigned, int)> libc_sendmmsg;
constexpr libc_function<"setsockopt", int(int, int, int, void const*, socklen_t)> libc_setsockopt;
constexpr libc_function<"__recv_chk", ssize_t(int, void*, size_t, size_t, int)> libc_recv_chk;
constexpr libc_function<"__recvfrom_chk", ssize_t(int, void*, size_t, size_t, int, sockaddr*, socklen_t*)>
    libc_recvfrom_chk;

// What the options change of what is known of a socket.
void note_option(int fd, int level, int option) noexcept {
    descriptor* const entry = weft::detail::known_descriptor(fd);
    if (entry == nullptr)
        return;
    if (level == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_SNDTIMEO))
        weft::detail::set_flag(*entry, descriptor::timed, true);
    // These make reads short for other reasons than that nothing is left.
    if ((level == SOL_SOCKET && option == SO_RCVLOWAT) || (level == IPPROTO_TCP && option == TCP_ULP))
        weft::detail::set_flag(*entry, descriptor::tcp, false);
}

} // namespace

extern "C" {

int socket(int domain, int type, int protocol) noexcept {
    int const fd = libc_socket(domain, type, protocol);
    if (on_fiber() && fd >= 0)
        io::opened_socket(fd, domain, type, protocol);
    return fd;
}

int socketpair(int domain, int type, int protocol, int fds[2]) noexcept {
    int const result = libc_socketpair(domain, type, protocol, fds);
    if (on_fiber() && result == 0) {
        io::opened_socket(fds[0], domain, type, protocol);
        io::opened_socket(fds[1], domain, type, protocol);
    }
    return result;
}

int accept(int fd, sockaddr* address, socklen_t* length) {
    if (!on_fiber())
        return libc_accept(fd, address, length);
    return io::accept(fd, address, length, 0);
}

int accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
    if (!on_fiber())
        return libc_accept4(fd, address, length, flags);
    return io::accept(fd, address, length, flags);
}

int connect(int fd, sockaddr const* address, socklen_t length) {
    if (!on_fiber())
        return libc_connect(fd, address, length);
    return io::connect(fd, address, length);
}

ssize_t recv(int fd, void* buffer, size_t size, int flags) {
    if (!on_fiber())
        return libc_recv(fd, buffer, size, flags);
    return io::receive(fd, buffer, size, flags);
}

ssize_t recvfrom(int fd, void* buffer, size_t size, int flags, sockaddr* address, socklen_t* length) {
    if (!on_fiber())
        return libc_recvfrom(fd, buffer, size, flags, address, length);
    return io::receive(fd, buffer, size, flags, address, length);
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
    if (!on_fiber())
        return libc_recvmsg(fd, message, flags);
    return io::receive(fd, message, flags);
}

ssize_t send(int fd, void const* data, size_t size, int flags) {
    if (!on_fiber())
        return libc_send(fd, data, size, flags);
    return io::send(fd, data, size, flags);
}

ssize_t sendto(int fd, void const* data, size_t size, int flags, sockaddr const* address, socklen_t length) {
    if (!on_fiber())
        return libc_sendto(fd, data, size, flags, address, length);
    return io::send(fd, data, size, flags, address, length);
}

ssize_t sendmsg(int fd, msghdr const* message, int flags) {
    ssize_t const sent = on_fiber() ? io::send(fd, message, flags) : libc_sendmsg(fd, message, flags);
    if (sent >= 0)
        weft::detail::note_sent_descriptors(*message);
    return sent;
}

int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
    if (!on_fiber())
        return libc_recvmmsg(fd, messages, count, flags, timeout);
    return io::receive(fd, messages, count, flags, timeout);
}

int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
    int const sent =
        on_fiber() ? io::send(fd, messages, count, flags) : libc_sendmmsg(fd, messages, count, flags);
    for (int i = 0; i < sent; ++i)
        weft::detail::note_sent_descriptors(messages[i].msg_hdr);
    return sent;
}

// Recorded from every thread: a fiber's call must know of a time limit that another thread has set.
int setsockopt(int fd, int level, int option, void const* value, socklen_t length) noexcept {
    int const result = libc_setsockopt(fd, level, option, value, length);
    if (result == 0)
        note_option(fd, level, option);
    return result;
}

// What _FORTIFY_SOURCE makes of the names above: libc's version checks the sizes, and aborts with its own message.
ssize_t __recv_chk(int fd, void* buffer, size_t size, size_t room, int flags) {
    if (!on_fiber() || size > room)
        return libc_recv_chk(fd, buffer, size, room, flags);
    return io::receive(fd, buffer, size, flags);
}

ssize_t __recvfrom_chk(int fd, void* buffer, size_t size, size_t room, int flags, sockaddr* address,
                       socklen_t* length) {
    if (!on_fiber() || size > room)
        return libc_recvfrom_chk(fd, buffer, size, room, flags, address, length);
    return io::receive(fd, buffer, size, flags, address, length);
}

// libc's own older names, which old binaries call.
ssize_t __send(int fd, void const* data, size_t size, int flags) { return send(fd, data, size, flags); }
int __connect(int fd, sockaddr const* address, socklen_t length) { return connect(fd, address, length); }

} // extern "C"
