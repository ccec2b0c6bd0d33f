// memory_stream under Asio's and Beast's synchronous functions, as tcp_stream is; and what only it can do.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/error.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/testing/memory_stream.hpp>
#include <weft/this_fiber.hpp>

#include "http_exchange.hpp"
#include "support/options.hpp"
#include "support/seed.hpp"
#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using weft::testing::error_code;
using weft::testing::memory_stream;
using weft::testing::memory_stream_pair;

static_assert(boost::beast::is_sync_stream<memory_stream>::value);

error_code read_error(memory_stream& stream) {
    char byte = 0;
    error_code error;
    stream.read_some(asio::buffer(&byte, 1), error);
    return error;
}

error_code write_error(memory_stream& stream) {
    error_code error;
    stream.write_some(asio::buffer("x", 1), error);
    return error;
}

std::string read_all(memory_stream& stream) {
    std::string bytes;
    error_code error;
    asio::read(stream, asio::dynamic_buffer(bytes), error);
    BOOST_TEST(error == asio::error::eof);
    return bytes;
}

} // namespace

BOOST_AUTO_TEST_CASE(asio_reads_and_writes_whole_messages) {
    weft::run([] {
        auto [a, b] = memory_stream_pair(1000);
        std::string const bytes = support::pattern(200'000);
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
        BOOST_TEST(b.bytes_written() == bytes.size());
        asio::write(b, asio::buffer(std::string("one\ntwo\n")));
        asio::streambuf lines;
        BOOST_TEST(asio::read_until(a, lines, '\n') == 4U);
        BOOST_TEST(asio::read_until(a, lines, "two\n") == 8U);
    });
}

BOOST_AUTO_TEST_CASE(beasts_synchronous_http_runs_on_it) {
    weft::run([] {
        auto [client, server] = memory_stream_pair(512);
        client.limit_reads(7);
        server.limit_writes(13);
        exchange_http(client, server, 10'000);
    });
}

BOOST_AUTO_TEST_CASE(a_read_waits_for_bytes_and_a_write_for_room) {
    weft::run([] {
        auto [a, b] = memory_stream_pair(4);
        std::string order;
        auto reader = weft::spawn([&, &stream = a] {
            char buffer[16];
            order += 'r';
            std::size_t const n = stream.read_some(asio::buffer(buffer));
            order += 'R';
            return std::string(buffer, n);
        });
        weft::this_fiber::yield();
        BOOST_TEST(order == "r");
        BOOST_TEST(b.write_some(asio::buffer("abcd", 4)) == 4U);
        BOOST_TEST(reader.get() == "abcd");
        auto writer = weft::spawn([&, &stream = b] {
            order += 'w';
            stream.write_some(asio::buffer("efghij", 6));
            order += 'W';
        });
        weft::this_fiber::yield();
        BOOST_TEST(order == "rRw");
        BOOST_TEST(a.unread() == "efgh");
        char buffer[3];
        BOOST_TEST(asio::read(a, asio::buffer(buffer)) == 3U);
        writer.join();
        BOOST_TEST(order == "rRwW");
        BOOST_TEST(a.unread() == "hij");
    });
}

BOOST_AUTO_TEST_CASE(who_waits_is_served_in_order) {
    weft::run([] {
        auto [a, b] = memory_stream_pair(8);
        std::string order;
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 4; ++i)
            fibers.push_back(weft::spawn([&, i, &stream = a] {
                char byte = 0;
                stream.read_some(asio::buffer(&byte, 1));
                order += static_cast<char>('0' + i);
                order += byte;
            }));
        weft::this_fiber::yield();
        b.write_some(asio::buffer("abcd", 4));
        fibers.clear();
        BOOST_TEST(order == "0a1b2c3d");
        // What one call writes stays together, though it fits in only piece by piece.
        for (char const letter : {'x', 'y', 'z'})
            fibers.push_back(weft::spawn(
                [&, letter, &stream = b] { stream.write_some(asio::buffer(std::string(20, letter))); }));
        weft::this_fiber::yield();
        std::string got(60, '\0');
        asio::read(a, asio::buffer(got));
        BOOST_TEST(got == std::string(20, 'x') + std::string(20, 'y') + std::string(20, 'z'));
    });
}

BOOST_AUTO_TEST_CASE(ends_and_errors_are_tcp_streams) {
    weft::run([] {
        auto [a, b] = memory_stream_pair();
        error_code error;
        BOOST_TEST(a.read_some(asio::mutable_buffer(), error) == 0U);
        BOOST_TEST(!error);
        b.write_some(asio::buffer("last", 4));
        BOOST_TEST(!a.peer_ended());
        b.shutdown(memory_stream::side::send, error);
        BOOST_TEST(!error);
        BOOST_TEST(a.peer_ended());
        BOOST_TEST(!a.peer_closed());
        BOOST_TEST(write_error(b) == asio::error::broken_pipe);
        BOOST_TEST(read_all(a) == "last");
        char byte = 0;
        BOOST_CHECK_THROW(a.read_some(asio::buffer(&byte, 1)), boost::system::system_error);
        BOOST_TEST(!write_error(a));
        b.close();
        BOOST_TEST(!b.is_open());
        BOOST_TEST(a.peer_closed());
        BOOST_TEST(write_error(a) == asio::error::broken_pipe);
        BOOST_TEST(read_error(b) == asio::error::bad_descriptor);
        b.shutdown(memory_stream::side::both, error);
        BOOST_TEST(error == asio::error::bad_descriptor);
        memory_stream none;
        BOOST_TEST(read_error(none) == asio::error::bad_descriptor);
        BOOST_TEST(!none.is_open());
        BOOST_CHECK_THROW(memory_stream_pair(0), std::invalid_argument);
        BOOST_CHECK_THROW(a.limit_reads(0), std::invalid_argument);
    });
}

BOOST_AUTO_TEST_CASE(closing_ends_every_wait) {
    weft::run([] {
        for (bool const own : {true, false}) {
            auto [a, b] = memory_stream_pair(4);
            a.write_some(asio::buffer("full", 4));
            std::vector<weft::fiber<error_code>> fibers;
            for (int i = 0; i < 2; ++i) {
                fibers.push_back(weft::spawn([&stream = a] { return read_error(stream); }));
                fibers.push_back(weft::spawn([&stream = a] { return write_error(stream); }));
            }
            weft::this_fiber::yield();
            (own ? a : b).close();
            for (int i = 0; i < 4; ++i) {
                error_code const expected = own          ? asio::error::bad_descriptor
                                            : i % 2 == 0 ? error_code(asio::error::eof)
                                                         : asio::error::broken_pipe;
                BOOST_TEST(fibers[static_cast<std::size_t>(i)].get() == expected);
            }
        }
        auto [a, b] = memory_stream_pair();
        auto reader = weft::spawn([&stream = a] { return read_error(stream); });
        weft::this_fiber::yield();
        { memory_stream const gone = std::move(b); }
        BOOST_TEST(reader.get() == asio::error::eof);
    });
}

// The last end takes the connection with it, but not from under those who wait there.
BOOST_AUTO_TEST_CASE(destroying_both_ends_ends_every_wait) {
    weft::run([] {
        auto ends = std::make_unique<std::pair<memory_stream, memory_stream>>(memory_stream_pair(4));
        ends->first.write_some(asio::buffer("full", 4));
        std::vector<weft::fiber<error_code>> fibers;
        for (int i = 0; i < 2; ++i) { // the second of each kind waits for its turn
            fibers.push_back(weft::spawn([&stream = ends->first] { return read_error(stream); }));
            fibers.push_back(weft::spawn([&stream = ends->first] { return write_error(stream); }));
        }
        weft::this_fiber::yield();
        ends.reset();
        for (weft::fiber<error_code>& each : fibers)
            BOOST_TEST(each.get() == asio::error::bad_descriptor);
    });
}

BOOST_AUTO_TEST_CASE(deadlines) {
    weft::run([] {
        auto [a, b] = memory_stream_pair(100);
        a.expires_after(5ms);
        auto const start = weft::clock::now();
        BOOST_TEST(read_error(a) == asio::error::timed_out);
        BOOST_TEST((weft::clock::now() - start >= 5ms));
        BOOST_TEST(read_error(a) == asio::error::timed_out); // it stays in force
        b.write_some(asio::buffer("x", 1));
        BOOST_TEST(!read_error(a)); // nothing to wait for
        error_code error;
        BOOST_TEST(asio::write(a, asio::buffer(std::string(150, 'x')), error) == 100U);
        BOOST_TEST(error == asio::error::timed_out);
        a.expires_never();
        auto other = weft::spawn([&stream = b] { return stream.unread().size(); });
        BOOST_TEST(other.get() == 100U);
    });
}

BOOST_AUTO_TEST_CASE(cancellation_ends_a_wait_as_it_does_on_a_socket) {
    weft::run([] {
        auto [a, b] = memory_stream_pair(4);
        bool thrown = false;
        {
            weft::cancel_scope scope(1ms);
            BOOST_TEST(read_error(a) == asio::error::operation_aborted);
            BOOST_TEST(write_error(a) == asio::error::operation_aborted); // though there is room
        }
        BOOST_TEST(!weft::move_on_after(1ms, [&, &stream = a] {
            char byte = 0;
            try {
                stream.read_some(asio::buffer(&byte, 1));
            } catch (weft::cancelled const&) {
                thrown = true;
                throw;
            }
        }));
        BOOST_TEST(thrown);
        BOOST_TEST(b.unread().empty());
        // A wait for one's turn, too; and the turn isn't lost.
        auto first = weft::spawn([&stream = a] { return read_error(stream); });
        weft::this_fiber::yield();
        BOOST_TEST(!weft::move_on_after(1ms, [&stream = a] {
            char byte = 0;
            stream.read_some(asio::buffer(&byte, 1));
        }));
        b.write_some(asio::buffer("xy", 2));
        BOOST_TEST(!first.get());
        BOOST_TEST(!read_error(a));
    });
}

BOOST_AUTO_TEST_CASE(short_reads_and_writes_are_forced) {
    weft::run([] {
        auto [a, b] = memory_stream_pair();
        a.limit_writes(3);
        b.limit_reads(2);
        BOOST_TEST(a.write_some(asio::buffer("abcdef", 6)) == 3U);
        char buffer[8];
        BOOST_TEST(b.read_some(asio::buffer(buffer)) == 2U);
        BOOST_TEST(b.unread() == "c");
        BOOST_TEST(asio::write(a, asio::buffer("defgh", 5)) == 5U);
        BOOST_TEST(asio::read(b, asio::buffer(buffer, 6)) == 6U);
        BOOST_TEST(std::string(buffer, 6) == "cdefgh");
        BOOST_TEST(a.bytes_written() == 8U);
    });
}

BOOST_AUTO_TEST_CASE(errors_come_where_they_are_asked_for) {
    weft::run([] {
        auto [a, b] = memory_stream_pair(4);
        error_code error;
        a.fail_read(asio::error::connection_reset);
        BOOST_TEST(read_error(a) == asio::error::connection_reset);
        a.fail_write(asio::error::connection_reset, 3);
        BOOST_TEST(asio::write(a, asio::buffer("abcdef", 6), error) == 3U);
        BOOST_TEST(error == asio::error::connection_reset);
        BOOST_TEST(b.unread() == "abc");
        b.fail_read(asio::error::timed_out, 2);
        char buffer[8];
        BOOST_TEST(asio::read(b, asio::buffer(buffer, 3), error) == 2U);
        BOOST_TEST(error == asio::error::timed_out);
        BOOST_TEST(!read_error(b)); // the third is still there
        // Who waits already meets them, too; a write that has got somewhere says so first.
        auto reader = weft::spawn([&stream = b] { return read_error(stream); });
        auto writer = weft::spawn([&stream = a] {
            error_code failed;
            std::size_t const sent = asio::write(stream, asio::buffer("123456", 6), failed);
            return std::pair(sent, failed);
        });
        weft::this_fiber::yield();
        BOOST_TEST(!reader.get());
        weft::this_fiber::yield();
        a.fail_write(asio::error::broken_pipe);
        auto const [sent, failed] = writer.get();
        BOOST_TEST(sent == 5U);
        BOOST_TEST(failed == asio::error::broken_pipe);
    });
}

BOOST_AUTO_TEST_CASE(plain_threads_and_fibers_of_other_workers_talk) {
    std::string const bytes = support::pattern(300'000);
    auto [a, b] = memory_stream_pair(333);
    std::thread echo([&stream = b] {
        char buffer[100];
        error_code error;
        for (;;) {
            std::size_t const n = stream.read_some(asio::buffer(buffer), error);
            if (error)
                break;
            asio::write(stream, asio::buffer(buffer, n));
        }
        stream.close();
    });
    std::string got;
    weft::run(
        [&, &stream = a] {
            weft::post(1, [&] {
                asio::write(stream, asio::buffer(bytes));
                error_code error;
                stream.shutdown(memory_stream::side::send, error);
            });
            got = read_all(stream);
        },
        support::with_workers(2));
    echo.join();
    BOOST_TEST((got == bytes));
}

// Whatever the capacity, the limits and the sizes of the calls: the bytes come once each, in order.
BOOST_AUTO_TEST_CASE(random_calls_lose_no_byte) {
    support::seeded random;
    weft::run([&] {
        for (int round = 0; round < 200; ++round) {
            auto [a, b] = memory_stream_pair(1 + random.below(100));
            std::string const bytes = support::pattern(1 + random.below(5000), random.seed());
            a.limit_writes(1 + random.below(200));
            b.limit_reads(1 + random.below(200));
            auto writer = weft::spawn([&, &stream = a] {
                for (std::size_t sent = 0; sent < bytes.size();) {
                    std::size_t const size =
                        std::min<std::size_t>(1 + random.below(300), bytes.size() - sent);
                    sent += stream.write_some(asio::buffer(bytes.data() + sent, size));
                    if (random.below(3) == 0)
                        weft::this_fiber::yield();
                }
                stream.close();
            });
            std::string got;
            error_code error;
            while (!error) {
                char buffer[300];
                std::size_t const n =
                    b.read_some(asio::buffer(buffer, 1 + random.below(sizeof buffer)), error);
                got.append(buffer, n);
                if (random.below(3) == 0)
                    weft::this_fiber::yield();
            }
            BOOST_TEST((got == bytes), "seed " << random.seed());
        }
    });
}
