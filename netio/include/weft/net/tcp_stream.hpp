// tcp_stream: a connected stream socket, used in blocking style; the fiber waits, not the thread.
//
// Models Asio's SyncReadStream and SyncWriteStream, so boost::asio::read, write and read_until, and Beast's synchronous
// functions work on it unchanged. Accepted from a unix socket it works the same.
//
// Ownership: owns the descriptor; the destructor closes it. Movable; a moved-from stream is closed.
// Fibers: one may read while another writes. On a plain thread every call fails with operation_not_supported.
// Waking: close() and shutdown() end the waits of other fibers.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <utility>

#include <boost/system/error_code.hpp>

#include <weft/clock.hpp>
#include <weft/detail/blocking_stream.hpp>
#include <weft/net/endpoint.hpp>

namespace weft::net {

using boost::system::error_code;

// read_some, write_some and expires_after are blocking_stream's.
class tcp_stream : public weft::detail::blocking_stream<tcp_stream> {
public:
    enum class side { receive, send, both };

    tcp_stream() noexcept = default;

    // Takes over a connected socket.
    explicit tcp_stream(int fd) noexcept : fd_(fd) {}
    tcp_stream(tcp_stream&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {
        deadline_ = std::exchange(other.deadline_, never);
    }
    tcp_stream& operator=(tcp_stream&& other) noexcept {
        tcp_stream(std::move(other)).swap(*this);
        return *this;
    }
    ~tcp_stream() { close(); }

    void swap(tcp_stream& other) noexcept {
        std::swap(fd_, other.fd_);
        std::swap(deadline_, other.deadline_);
    }

    // Connects to `remote`, waiting no longer than `deadline` (boost::asio::error::timed_out).
    static tcp_stream connect(endpoint const& remote, time_point deadline = never);
    static tcp_stream connect(endpoint const& remote, time_point deadline, error_code& error) noexcept;

    // shutdown(2): ends one side; the peer, or who waits here, sees the end of the stream.
    void shutdown(side what, error_code& error) noexcept;

    // Closes the descriptor, if open; fibers that wait on it get bad_descriptor.
    void close() noexcept;

    // Small writes go out at once (TCP_NODELAY). Nothing happens on a unix socket.
    void no_delay(bool on, error_code& error) noexcept;

    [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
    [[nodiscard]] int native_handle() const noexcept { return fd_; }

    // Gives the descriptor away.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

    // Unspecified if the stream isn't connected any more.
    [[nodiscard]] endpoint remote_endpoint() const noexcept;
    [[nodiscard]] endpoint local_endpoint() const noexcept;

private:
    friend weft::detail::blocking_stream<tcp_stream>;

    std::size_t receive(iovec* parts, std::size_t count, error_code& error) const noexcept;
    std::size_t send(iovec* parts, std::size_t count, error_code& error) const noexcept;

    int fd_ = -1;
};

} // namespace weft::net
