// blocking_stream: what weft's streams have in common: Asio's SyncReadStream and SyncWriteStream, over a receive() and a send() of the
// stream's own, and the time until which these wait.
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstddef>

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/clock.hpp>
#include <weft/detail/gathered.hpp>

namespace weft::detail {

// Stream: std::size_t receive(iovec* parts, std::size_t count, error_code& error) noexcept, which waits until deadline_, and send() likewise;
// `parts` may be changed. It befriends its base.
template <class Stream> class blocking_stream {
public:
    using error_code = boost::system::error_code;

    // Reads what there is, at least one byte, waiting for it if need be. Returns the number of bytes. At the end of the
    // stream: boost::asio::error::eof. With buffers of no bytes: 0, at once.
    template <class MutableBufferSequence>
    std::size_t read_some(MutableBufferSequence const& buffers, error_code& error) noexcept {
        gathered parts(buffers);
        return static_cast<Stream&>(*this).receive(parts.begin(), parts.count(), error);
    }
    template <class MutableBufferSequence> std::size_t read_some(MutableBufferSequence const& buffers) {
        error_code error;
        std::size_t const count = read_some(buffers, error);
        check(error, "read");
        return count;
    }

    // Writes all of the buffers (of a long sequence, the first 16), waiting as need be. Returns the number of bytes,
    // fewer if an error came in between. No SIGPIPE: a connection that is gone gives broken_pipe.
    template <class ConstBufferSequence>
    std::size_t write_some(ConstBufferSequence const& buffers, error_code& error) noexcept {
        gathered parts(buffers);
        return static_cast<Stream&>(*this).send(parts.begin(), parts.count(), error);
    }
    template <class ConstBufferSequence> std::size_t write_some(ConstBufferSequence const& buffers) {
        error_code error;
        std::size_t const count = write_some(buffers, error);
        check(error, "write");
        return count;
    }

    // Bounds every later read and write: those that have to wait past `deadline`, one point in time for all, fail with
    // boost::asio::error::timed_out; the stream stays open. `never` lifts it.
    void expires_at(time_point deadline) noexcept { deadline_ = deadline; }
    template <class Rep, class Period>
    void expires_after(std::chrono::duration<Rep, Period> duration) noexcept {
        deadline_ = deadline_after(duration);
    }
    void expires_never() noexcept { deadline_ = never; }

protected:
    blocking_stream() noexcept = default;
    ~blocking_stream() = default;

    time_point deadline_ = never;

private:
    // weft::cancelled, if that is what ended the call.
    static void check(error_code const& error, char const* what) {
        if (!error)
            return;
        this_fiber::check_cancelled();
        throw boost::system::system_error(error, what);
    }
};

} // namespace weft::detail
