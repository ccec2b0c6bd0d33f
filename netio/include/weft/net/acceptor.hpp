// acceptor: a listening socket, accepted from in blocking style.
//
// accept() handles the errors that a server should live through (see accept_policy.hpp): it goes on after a connection
// that failed, and backs off while descriptors or memory are short. What it returns is a connection, or the end.
//
// Ownership: owns the descriptor; the destructor closes it, and removes a unix socket's path that it made.
// Threads: accept() on a fiber, of any worker; stop() from anywhere, as long as the acceptor lives.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <boost/system/error_code.hpp>

#include <weft/net/accept_policy.hpp>
#include <weft/net/endpoint.hpp>
#include <weft/net/tcp_stream.hpp>

namespace weft::net {

struct acceptor_options {
    // Connections that the kernel keeps for us, at most (and at most net.core.somaxconn).
    int backlog = 4096;

    // Called when accept() begins to back off, with the error and the first pause. Must not throw.
    std::function<void(error_code error, std::chrono::milliseconds pause)> on_shortage;
};

class acceptor {
public:
    acceptor() noexcept = default;

    // Listens on `local`. A unix path at which nobody listens any more is taken over. Throws
    // boost::system::system_error, whose text names the address.
    explicit acceptor(endpoint const& local, acceptor_options options = {});

    // `count` acceptors on one address, for as many workers: each with a socket of its own among which the kernel
    // spreads the connections (SO_REUSEPORT); on a unix socket, they share one. Fails like a single one if another
    // process listens there.
    static std::vector<acceptor> for_workers(endpoint const& local, std::size_t count,
                                             acceptor_options const& options = {});

    acceptor(acceptor&& other) noexcept;
    acceptor& operator=(acceptor&& other) noexcept;
    ~acceptor() { close(); }
    void swap(acceptor& other) noexcept;

    // Waits for a connection. After stop() or close(): boost::asio::error::operation_aborted. If the fiber is cancelled, weft::cancelled, or, in
    // the second form, operation_aborted, too: this_fiber::is_cancelled() tells which. Else throws boost::system::system_error.
    tcp_stream accept();
    tcp_stream accept(error_code& error) noexcept;

    // For a loop that calls accept(2) on native_handle() itself: deals with its errno as accept() does. True, after a
    // pause if need be, if the loop is to go on; false if it is over. succeeded() ends a shortage.
    bool recover(int error) noexcept;
    void succeeded() noexcept { policy_.succeeded(); }

    // Makes accept() fail, now and later. The port stays taken until close().
    void stop() noexcept;
    void close() noexcept;

    // Where it listens, with the port that the system chose.
    [[nodiscard]] endpoint local_endpoint() const noexcept;
    [[nodiscard]] int native_handle() const noexcept { return fd_; }

private:
    int fd_ = -1;
    std::string path_; // to be removed, if it is still the file that we made
    std::uint64_t path_device_ = 0;
    std::uint64_t path_inode_ = 0;
    acceptor_options options_;
    accept_policy policy_;
};

} // namespace weft::net
