// asio_echo: one echo server in the styles that Asio offers on fibers, for tools/bench/echo, and what one use_fiber call costs:
//
//     tools/bench/echo --server 'use_fiber=build/release/bin/bench/asio_echo use_fiber' ...
//     build/release/bin/bench/asio_echo steps
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string_view>

#include <boost/asio.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/net/io_context_for_this_worker.hpp>
#include <weft/net/tcp_stream.hpp>
#include <weft/net/use_fiber.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using weft::net::use_fiber;

using buffer_of_connection = std::array<char, 4096>;

// Patched calls; and weft's stream, whose calls they are in C++.
void echo_patched(int fd) {
    weft::net::tcp_stream const owner(fd);
    buffer_of_connection bytes;
    ssize_t count = 0;
    while ((count = ::recv(fd, bytes.data(), bytes.size(), 0)) > 0)
        if (::send(fd, bytes.data(), static_cast<std::size_t>(count), 0) != count)
            return;
}

void echo_stream(int fd) {
    weft::net::tcp_stream stream(fd);
    buffer_of_connection bytes;
    for (error_code error; !error;) {
        std::size_t const count = stream.read_some(asio::buffer(bytes), error);
        if (!error)
            stream.write_some(asio::buffer(bytes, count), error);
    }
}

// Asio's blocking calls, which call poll where they would block.
void echo_synchronous(tcp::socket socket) {
    buffer_of_connection bytes;
    for (error_code error; !error;) {
        std::size_t const count = socket.read_some(asio::buffer(bytes), error);
        if (!error)
            asio::write(socket, asio::buffer(bytes, count), error);
    }
}

void echo_use_fiber(tcp::socket socket) {
    buffer_of_connection bytes;
    for (error_code error; !error;) {
        std::size_t const count = socket.async_read_some(asio::buffer(bytes), use_fiber[error]);
        if (!error)
            asio::async_write(socket, asio::buffer(bytes, count), use_fiber[error]);
    }
}

struct callback_connection : std::enable_shared_from_this<callback_connection> {
    explicit callback_connection(tcp::socket given) : socket(std::move(given)) {}

    void read() {
        socket.async_read_some(asio::buffer(bytes),
                               [self = shared_from_this()](error_code error, std::size_t count) {
                                   if (!error)
                                       self->write(count);
                               });
    }
    void write(std::size_t count) {
        asio::async_write(socket, asio::buffer(bytes, count),
                          [self = shared_from_this()](error_code error, std::size_t /*count*/) {
                              if (!error)
                                  self->read();
                          });
    }

    tcp::socket socket;
    buffer_of_connection bytes;
};

void serve(std::string_view style) {
    tcp::acceptor acceptor(weft::net::io_context_for_this_worker(), {asio::ip::address_v4::loopback(), 0});
    std::printf("listening on 127.0.0.1:%d\n", acceptor.local_endpoint().port());
    std::fflush(stdout);
    for (;;) {
        tcp::socket socket = acceptor.async_accept(use_fiber);
        socket.set_option(tcp::no_delay(true));
        if (style == "patched" || style == "tcp_stream") {
            auto* const echo = style == "patched" ? echo_patched : echo_stream;
            socket.native_non_blocking(false); // Asio sets it
            weft::spawn([fd = socket.release(), echo] { echo(fd); }).detach();
        } else if (style == "callbacks") {
            std::make_shared<callback_connection>(std::move(socket))->read();
        } else {
            auto* const echo = style == "use_fiber" ? echo_use_fiber : echo_synchronous;
            weft::spawn([socket = std::move(socket), echo]() mutable { echo(std::move(socket)); }).detach();
        }
    }
}

double cpu_now() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

template <class Step> void measure(char const* what, Step step) {
    constexpr int count = 200'000;
    double best = 1e18;
    for (int round = 0; round < 9; ++round) {
        double const begin = cpu_now();
        for (int i = 0; i < count; ++i)
            step();
        best = std::min(best, (cpu_now() - begin) / count);
    }
    std::printf("%-58s %6.0f ns\n", what, best);
}

void measure_steps() {
    auto& context = weft::net::io_context_for_this_worker();
    measure("post, awaited", [&] { asio::post(context, use_fiber); });
    measure("post, awaited, in a cancel scope", [&] {
        weft::cancel_scope const scope;
        asio::post(context, use_fiber);
    });
    asio::steady_timer timer(context, std::chrono::seconds(0));
    measure("timer that has expired, awaited", [&] { timer.async_wait(use_fiber); });
    bool busy = true;
    auto other = weft::spawn([&] {
        while (busy)
            weft::this_fiber::yield();
    });
    measure("post, awaited, while another fiber is always ready", [&] { asio::post(context, use_fiber); });
    busy = false;
    other.join();
    // Of the context's own: what of it is Asio's.
    asio::io_context plain(1);
    measure("Asio alone: post and run_one, on a plain io_context", [&] {
        asio::post(plain, [] {});
        plain.restart();
        plain.run_one();
    });
}

} // namespace

int main(int count, char** arguments) {
    std::string_view const style = count == 2 ? arguments[1] : "";
    return weft::run([style] {
        if (style == "steps")
            measure_steps();
        else
            serve(style);
    });
}
