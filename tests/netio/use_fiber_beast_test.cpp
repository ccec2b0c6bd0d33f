// use_fiber with what is built on Asio: Beast's HTTP and WebSocket, and Asio's TLS streams.
#include <memory>
#include <string>
#include <vector>

#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/net/io_context_for_this_worker.hpp>
#include <weft/net/use_fiber.hpp>
#include <weft/run.hpp>

#ifdef WEFT_TEST_OPENSSL
#include <boost/asio/ssl.hpp>
#include <boost/beast/ssl.hpp>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#endif

namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::ip::tcp;
using boost::system::error_code;
using weft::net::io_context_for_this_worker;
using weft::net::use_fiber;

// Accepts until it is closed, with a fiber for each connection.
class server {
public:
    template <class Serve>
    explicit server(Serve serve)
        : acceptor_(io_context_for_this_worker(), {asio::ip::address_v4::loopback(), 0}),
          accepting_(weft::spawn([this, serve] {
              std::vector<weft::fiber<>> connections;
              for (error_code error;;) {
                  tcp::socket socket = acceptor_.async_accept(use_fiber[error]);
                  if (error)
                      return;
                  connections.push_back(weft::spawn(
                      [socket = std::move(socket), serve]() mutable { serve(std::move(socket)); }));
              }
          })) {}
    server(server const&) = delete;
    server& operator=(server const&) = delete;
    ~server() { acceptor_.close(); }

    [[nodiscard]] tcp::socket connect() const {
        tcp::socket socket(io_context_for_this_worker());
        socket.async_connect(acceptor_.local_endpoint(), use_fiber);
        return socket;
    }

private:
    tcp::acceptor acceptor_;
    weft::fiber<> accepting_;
};

template <class Stream> void echo_messages(websocket::stream<Stream>& stream) {
    stream.async_accept(use_fiber);
    for (;;) {
        beast::flat_buffer message;
        error_code error;
        stream.async_read(message, use_fiber[error]);
        if (error) // websocket::error::closed, as a rule
            return;
        stream.text(stream.got_text());
        stream.async_write(message.data(), use_fiber);
    }
}

template <class Stream> void say_and_hear(websocket::stream<Stream>& stream, std::string const& said) {
    beast::flat_buffer heard;
    BOOST_TEST(stream.async_write(asio::buffer(said), use_fiber) == said.size());
    stream.async_read(heard, use_fiber);
    BOOST_TEST(beast::buffers_to_string(heard.data()) == said);
}

} // namespace

BOOST_AUTO_TEST_CASE(websockets_talk_in_blocking_style) {
    weft::run([] {
        server const echo([](tcp::socket socket) {
            websocket::stream<tcp::socket> stream(std::move(socket));
            echo_messages(stream);
        });
        std::vector<weft::fiber<>> clients;
        for (int i = 0; i < 10; ++i)
            clients.push_back(weft::spawn([&, i] {
                websocket::stream<tcp::socket> stream(echo.connect());
                stream.async_handshake("localhost", "/", use_fiber);
                for (int turn = 0; turn < 20; ++turn)
                    say_and_hear(stream, std::string(static_cast<std::size_t>(turn * 100 + i), 'm'));
                stream.async_close(websocket::close_code::normal, use_fiber);
            }));
        for (auto& each : clients)
            each.get();
    });
}

BOOST_AUTO_TEST_CASE(a_websocket_read_is_cancelled) {
    weft::run([] {
        server const silent([](tcp::socket socket) {
            websocket::stream<beast::tcp_stream> stream(std::move(socket));
            stream.async_accept(use_fiber);
            beast::flat_buffer message;
            error_code error;
            stream.async_read(message, use_fiber[error]);
            BOOST_TEST(!!error);
        });
        websocket::stream<beast::tcp_stream> stream(silent.connect());
        stream.async_handshake("localhost", "/", use_fiber);
        bool const finished = weft::move_on_after(1ms, [&] {
            beast::flat_buffer message;
            stream.async_read(message, use_fiber);
        });
        BOOST_TEST(!finished);
    });
}

BOOST_AUTO_TEST_CASE(http_requests_are_answered) {
    weft::run([] {
        server const hello([](tcp::socket socket) {
            beast::tcp_stream stream(std::move(socket));
            beast::flat_buffer buffer;
            for (error_code error;;) {
                http::request<http::string_body> request;
                http::async_read(stream, buffer, request, use_fiber[error]);
                if (error == http::error::end_of_stream)
                    return;
                // NOLINTNEXTLINE(clang-analyzer-cplusplus.Move): async_read moves it away, and back
                http::response<http::string_body> response(http::status::ok, request.version());
                response.body() = "hello, " + std::string(request.target());
                response.prepare_payload();
                http::async_write(stream, response, use_fiber);
            }
        });
        beast::tcp_stream stream(hello.connect());
        beast::flat_buffer buffer;
        for (std::string const target : {"/a", "/b"}) {
            http::request<http::empty_body> const request(http::verb::get, target, 11);
            stream.expires_after(30s); // Beast's own time limit works beside
            http::async_write(stream, request, use_fiber);
            http::response<http::string_body> response;
            http::async_read(stream, buffer, response, use_fiber);
            // NOLINTNEXTLINE(clang-analyzer-cplusplus.Move): async_read moves it away, and back
            BOOST_TEST(response.body() == "hello, " + target);
        }
        http::response<http::string_body> none;
        BOOST_TEST(!weft::move_on_after(1ms, [&] { http::async_read(stream, buffer, none, use_fiber); }));
    });
}

#ifdef WEFT_TEST_OPENSSL

namespace {

namespace ssl = asio::ssl;

struct free_openssl {
    void operator()(EVP_PKEY* key) const { ::EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { ::X509_free(certificate); }
};

// A server's, with a certificate of its own making.
ssl::context make_context() {
    ssl::context context(ssl::context::tls_server);
    std::unique_ptr<EVP_PKEY, free_openssl> const key(::EVP_EC_gen("P-256"));
    std::unique_ptr<X509, free_openssl> const certificate(::X509_new());
    ::X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    ::X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    ::X509_set_pubkey(certificate.get(), key.get());
    ::X509_sign(certificate.get(), key.get(), ::EVP_sha256());
    ::SSL_CTX_use_certificate(context.native_handle(), certificate.get());
    ::SSL_CTX_use_PrivateKey(context.native_handle(), key.get());
    return context;
}

} // namespace

BOOST_AUTO_TEST_CASE(tls_streams_and_websockets_on_them_work) {
    using tls = ssl::stream<tcp::socket>;
    weft::run([] {
        ssl::context for_server = make_context();
        server const echo([&](tcp::socket socket) {
            websocket::stream<tls> stream(std::move(socket), for_server);
            stream.next_layer().async_handshake(ssl::stream_base::server, use_fiber);
            echo_messages(stream);
        });
        ssl::context for_client(ssl::context::tls_client);
        websocket::stream<tls> stream(echo.connect(), for_client);
        stream.next_layer().async_handshake(ssl::stream_base::client, use_fiber);
        stream.async_handshake("localhost", "/", use_fiber);
        say_and_hear(stream, std::string(100'000, 's'));
        BOOST_TEST(!weft::move_on_after(1ms, [&] {
            beast::flat_buffer message;
            stream.async_read(message, use_fiber);
        }));
        beast::get_lowest_layer(stream).close();
    });
}

#endif
