// tcp_stream under Asio's and Beast's synchronous functions, unchanged.
#include <string>
#include <thread>

#include <boost/asio/error.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>
#include <weft/net/acceptor.hpp>
#include <weft/net/tcp_stream.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "http_exchange.hpp"
#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using weft::net::tcp_stream;

static_assert(boost::beast::is_sync_stream<tcp_stream>::value);

std::pair<tcp_stream, tcp_stream> stream_pair() {
    auto pair = support::tcp_pair();
    return {tcp_stream(pair[0].release()), tcp_stream(pair[1].release())};
}

} // namespace

BOOST_AUTO_TEST_CASE(asio_reads_and_writes_whole_messages) {
    weft::run([] {
        auto [a, b] = stream_pair();
        std::string const bytes = support::pattern(2'000'000);
        auto writer = weft::spawn([&, &peer = b] {
            std::array<asio::const_buffer, 3> const parts{asio::buffer(bytes.data(), 10),
                                                          asio::const_buffer(),
                                                          asio::buffer(bytes.data() + 10, bytes.size() - 10)};
            return asio::write(peer, parts);
        });
        std::string got(bytes.size(), '\0');
        BOOST_TEST(asio::read(a, asio::buffer(got)) == bytes.size());
        BOOST_TEST((got == bytes));
        BOOST_TEST(writer.get() == bytes.size());
        auto liner = weft::spawn([&peer = b] { asio::write(peer, asio::buffer(std::string("one\ntwo\n"))); });
        asio::streambuf lines;
        BOOST_TEST(asio::read_until(a, lines, '\n') == 4U);
        BOOST_TEST(asio::read_until(a, lines, "two\n") == 8U);
    });
}

BOOST_AUTO_TEST_CASE(ends_and_errors_are_asios) {
    weft::run([] {
        auto [a, b] = stream_pair();
        char buffer[4];
        weft::net::error_code error;
        BOOST_TEST(a.read_some(asio::mutable_buffer(), error) == 0U);
        BOOST_TEST(!error);
        b.shutdown(tcp_stream::side::send, error);
        BOOST_TEST(!error);
        BOOST_TEST(a.read_some(asio::buffer(buffer), error) == 0U);
        BOOST_TEST(error == asio::error::eof);
        BOOST_CHECK_THROW(a.read_some(asio::buffer(buffer)), boost::system::system_error);
        b.close();
        std::string const bytes(1'000'000, 'x');
        while (!error || error == asio::error::eof)
            a.write_some(asio::buffer(bytes), error);
        BOOST_TEST((error == asio::error::broken_pipe || error == asio::error::connection_reset));
        tcp_stream closed;
        closed.read_some(asio::buffer(buffer), error);
        BOOST_TEST(error == asio::error::bad_descriptor);
    });
}

BOOST_AUTO_TEST_CASE(deadlines) {
    weft::run([] {
        auto [a, b] = stream_pair();
        char buffer[4];
        weft::net::error_code error;
        a.expires_after(5ms);
        auto const start = weft::clock::now();
        a.read_some(asio::buffer(buffer), error);
        BOOST_TEST(error == asio::error::timed_out);
        BOOST_TEST((weft::clock::now() - start >= 5ms));
        a.read_some(asio::buffer(buffer), error); // it stays in force
        BOOST_TEST(error == asio::error::timed_out);
        a.expires_after(1h);
        auto writer = weft::spawn([&, &peer = b] { asio::write(peer, asio::buffer("ok", 2)); });
        BOOST_TEST(a.read_some(asio::buffer(buffer), error) == 2U);
        BOOST_TEST(!error);
        std::string const bytes(20'000'000, 'x');
        a.expires_after(10ms);
        std::size_t const sent = asio::write(a, asio::buffer(bytes), error);
        BOOST_TEST(error == asio::error::timed_out);
        BOOST_TEST(sent < bytes.size());
    });
}

BOOST_AUTO_TEST_CASE(close_by_another_fiber_ends_a_read) {
    weft::run([] {
        auto [a, b] = stream_pair();
        auto reader = weft::spawn([&, &stream = a] {
            char byte = 0;
            weft::net::error_code error;
            stream.read_some(asio::buffer(&byte, 1), error);
            return error;
        });
        weft::this_fiber::yield();
        a.close();
        BOOST_TEST(reader.get() == asio::error::bad_descriptor);
    });
}

BOOST_AUTO_TEST_CASE(connect_fails_clearly) {
    weft::run([] {
        weft::net::endpoint nobody;
        {
            weft::net::acceptor const gone(weft::net::endpoint::parse("127.0.0.1:0"));
            nobody = gone.local_endpoint();
        }
        weft::net::error_code error;
        tcp_stream::connect(nobody, weft::never, error);
        BOOST_TEST(error == asio::error::connection_refused);
        BOOST_CHECK_EXCEPTION(tcp_stream::connect(nobody), boost::system::system_error, [&](auto const& e) {
            return std::string(e.what()).find(nobody.to_string()) != std::string::npos;
        });
    });
}

BOOST_AUTO_TEST_CASE(a_plain_thread_is_told) {
    auto [a, b] = stream_pair();
    char byte = 0;
    weft::net::error_code error;
    a.read_some(asio::buffer(&byte, 1), error);
    BOOST_TEST(error == asio::error::operation_not_supported);
    tcp_stream::connect(weft::net::endpoint::parse("127.0.0.1:1"), weft::never, error);
    BOOST_TEST(error == asio::error::operation_not_supported);
}

BOOST_AUTO_TEST_CASE(beasts_synchronous_http_runs_on_it) {
    weft::run([] {
        auto [client, server] = stream_pair();
        exchange_http(client, server, 100'000);
    });
}
