// memory_stream: one end of a connection that exists in memory alone, for tests of code that speaks a protocol.
//
// It has net::tcp_stream's surface, and so models Asio's SyncReadStream and SyncWriteStream: code that takes its stream as a template
// parameter runs on it unchanged, without sockets, ports or a kernel's buffers. What a network does only now and then, it does when it is
// told to: short reads and writes, a peer that doesn't read, errors at a chosen byte.
//
//     auto [client, server] = weft::testing::memory_stream_pair();
//     server.limit_reads(1);                                              // every read gets one byte
//     client.fail_write(boost::asio::error::connection_reset, 100);       // after a hundred bytes
//
// A read waits until there are bytes or their end, a write until the other end has made room for all that is to be written. Where the
// caller is a fiber, it parks, and other fibers run. Who waits for the same thing is served in the order in which they came.
//
// Cancellation: a call fails with operation_aborted (ECANCELED) if the fiber is cancelled, also if it needn't wait; the overloads that
// throw then throw weft::cancelled. Unlike tcp_stream, plain threads may call everything, too; they block.
//
// Ownership: an end keeps the connection alive; its destructor closes it. Movable while nobody waits in it; a moved-from one is closed.
// Threads: the two ends may be used at once, by fibers of any workers and by threads; and so may one end, but for moving it, and for its
// deadline, which is a plain member as tcp_stream's is.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <boost/system/error_code.hpp>

#include <weft/detail/blocking_stream.hpp>
#include <weft/net/tcp_stream.hpp>

namespace weft::testing {

using net::error_code;

// read_some, write_some and expires_after are as tcp_stream's, but: what one call writes isn't mixed with another's, and fewer bytes are written
// if limit_writes() says so.
class memory_stream : public weft::detail::blocking_stream<memory_stream> {
public:
    using side = net::tcp_stream::side;

    static constexpr std::size_t default_capacity = std::size_t{64} * 1024;

    // A closed one.
    memory_stream() noexcept = default;

    memory_stream(memory_stream&& other) noexcept
        : connection_(std::move(other.connection_)), number_(other.number_) {
        deadline_ = std::exchange(other.deadline_, never);
    }
    memory_stream& operator=(memory_stream&& other) noexcept {
        memory_stream(std::move(other)).swap(*this);
        return *this;
    }
    ~memory_stream() { close(); }

    void swap(memory_stream& other) noexcept {
        std::swap(connection_, other.connection_);
        std::swap(number_, other.number_);
        std::swap(deadline_, other.deadline_);
    }

    // Ends one side, and the waits for it at both ends. send: the other end reads what there is, and then the end. receive: so does this
    // one, and the other's writes fail with broken_pipe.
    void shutdown(side what, error_code& error) noexcept;

    // Ends both sides. Who waits in this end, and every later call, gets bad_descriptor.
    void close() noexcept;

    [[nodiscard]] bool is_open() const noexcept;

    // -- what a test does with it --

    // From now on one read_some or write_some moves at most that many bytes. Throws std::invalid_argument for 0.
    void limit_reads(std::size_t most);
    void limit_writes(std::size_t most);

    // Once `after` more bytes are read from this end, or written to it, the next such call fails with `error`, once; a call that is waiting
    // then, too. Bytes that are there are not lost by it. An earlier order that is still to come is replaced.
    void fail_read(error_code error, std::size_t after = 0);
    void fail_write(error_code error, std::size_t after = 0);

    // What the other end has written, and nobody has read yet.
    [[nodiscard]] std::string unread() const;

    // How many bytes have been written to this end in its life.
    [[nodiscard]] std::uint64_t bytes_written() const noexcept;

    // Whether nothing more will come: the other end is closed, or its sending side shut down. There may be bytes to read yet.
    [[nodiscard]] bool peer_ended() const noexcept;

    // Whether the other end is closed.
    [[nodiscard]] bool peer_closed() const noexcept;

private:
    class connection;

    memory_stream(std::shared_ptr<connection> both, unsigned number) noexcept
        : connection_(std::move(both)), number_(number) {}
    friend std::pair<memory_stream, memory_stream> memory_stream_pair(std::size_t capacity);

    friend weft::detail::blocking_stream<memory_stream>;

    std::size_t receive(iovec const* parts, std::size_t count, error_code& error) const noexcept;
    std::size_t send(iovec const* parts, std::size_t count, error_code& error) const noexcept;
    // Its connection, for a call that has something to move; else null, with what became of the call. The call keeps it, as both ends may
    // be destroyed while it waits.
    std::shared_ptr<connection> begin_call(std::size_t count, error_code& error) const noexcept;

    std::shared_ptr<connection> connection_; // null: never connected, or moved from
    unsigned number_ = 0;                    // which of its ends this is
};

// The two ends of a new connection. Each direction holds at most `capacity` bytes that are written and not read; std::invalid_argument
// for 0.
[[nodiscard]] std::pair<memory_stream, memory_stream>
memory_stream_pair(std::size_t capacity = memory_stream::default_capacity);

} // namespace weft::testing
