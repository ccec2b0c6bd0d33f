#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>

#include <boost/asio/error.hpp>

#include <weft/detail/fiber_core.hpp>
#include <weft/net/tcp_stream.hpp>

#include "descriptor.hpp"
#include "io.hpp"
#include "last_error.hpp"

namespace weft::net {
namespace {

namespace io = weft::detail::io;

// EAGAIN of a call with a deadline means that it has passed.
error_code stream_error() noexcept {
    return errno == EAGAIN ? error_code(boost::asio::error::timed_out) : detail::last_error();
}

bool on_fiber(error_code& error) noexcept {
    if (weft::detail::current_fiber == nullptr)
        error = boost::asio::error::operation_not_supported;
    return !error;
}

msghdr message_of(iovec* parts, std::size_t count) noexcept {
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = count;
    return message;
}

template <class Query> endpoint query_endpoint(int fd, Query query) noexcept {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (query(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0)
        return {};
    return {reinterpret_cast<sockaddr const*>(&address), length};
}

} // namespace

tcp_stream tcp_stream::connect(endpoint const& remote, time_point deadline, error_code& error) noexcept {
    error.clear();
    if (!on_fiber(error))
        return {};
    int const fd = ::socket(remote.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error = detail::last_error();
        return {};
    }
    io::opened_socket(fd, remote.family(), SOCK_STREAM, 0);
    tcp_stream stream(fd);
    if (io::connect(fd, remote.address(), remote.length(), deadline) != 0) {
        error = errno == EINPROGRESS || errno == EAGAIN ? error_code(boost::asio::error::timed_out)
                                                        : detail::last_error();
        return {};
    }
    return stream;
}

tcp_stream tcp_stream::connect(endpoint const& remote, time_point deadline) {
    error_code error;
    tcp_stream stream = connect(remote, deadline, error);
    if (error) {
        this_fiber::check_cancelled();
        throw boost::system::system_error(error, "connect to " + remote.to_string());
    }
    return stream;
}

std::size_t tcp_stream::receive(iovec* parts, std::size_t count, error_code& error) const noexcept {
    error.clear();
    if (count == 0 || !on_fiber(error))
        return 0;
    ssize_t result = 0;
    if (count == 1) {
        result = io::receive(fd_, parts->iov_base, parts->iov_len, 0, nullptr, nullptr, deadline_);
    } else {
        msghdr message = message_of(parts, count);
        result = io::receive(fd_, &message, 0, deadline_);
    }
    if (result > 0)
        return static_cast<std::size_t>(result);
    error = result == 0 ? error_code(boost::asio::error::eof) : stream_error();
    return 0;
}

std::size_t tcp_stream::send(iovec* parts, std::size_t count, error_code& error) const noexcept {
    error.clear();
    if (count == 0 || !on_fiber(error))
        return 0;
    ssize_t result = 0;
    if (count == 1) {
        result = io::send(fd_, parts->iov_base, parts->iov_len, MSG_NOSIGNAL, nullptr, 0, deadline_);
    } else {
        msghdr const message = message_of(parts, count);
        result = io::send(fd_, &message, MSG_NOSIGNAL, deadline_);
    }
    if (result >= 0)
        return static_cast<std::size_t>(result);
    error = stream_error();
    return 0;
}

void tcp_stream::shutdown(side what, error_code& error) noexcept {
    int const how = what == side::receive ? SHUT_RD : what == side::send ? SHUT_WR : SHUT_RDWR;
    error = ::shutdown(fd_, how) == 0 ? error_code() : detail::last_error();
}

void tcp_stream::close() noexcept {
    if (fd_ >= 0)
        io::close(std::exchange(fd_, -1));
}

void tcp_stream::no_delay(bool on, error_code& error) noexcept {
    error.clear();
    int const value = on ? 1 : 0;
    if (::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value) != 0 && errno != EOPNOTSUPP)
        error = detail::last_error();
}

endpoint tcp_stream::remote_endpoint() const noexcept { return query_endpoint(fd_, ::getpeername); }
endpoint tcp_stream::local_endpoint() const noexcept { return query_endpoint(fd_, ::getsockname); }

} // namespace weft::net
