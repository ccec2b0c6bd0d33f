// libcurl's easy interface, which waits until a transfer is done.
#include <cstddef>
#include <string>

#include <boost/test/unit_test.hpp>

#include <curl/curl.h>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/net/acceptor.hpp>
#include <weft/net/tcp_stream.hpp>
#include <weft/run.hpp>

#include "clients/concurrent_operations.hpp"
#include "clients/handle.hpp"

namespace {

using easy = clients::handle<CURL, curl_easy_cleanup>;

std::size_t append(char* bytes, std::size_t /*one*/, std::size_t count, void* body) {
    static_cast<std::string*>(body)->append(bytes, count);
    return count;
}

std::string get(easy const& handle, std::string const& path) {
    std::string const url = "http://" + clients::server_host() + ":" + clients::server_port() + path;
    std::string body;
    curl_easy_setopt(handle.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, &body);
    CURLcode const outcome = curl_easy_perform(handle.get());
    BOOST_REQUIRE_MESSAGE(outcome == CURLE_OK, curl_easy_strerror(outcome));
    return body;
}

// The handle keeps the connection.
easy with_connection() {
    easy handle(curl_easy_init());
    BOOST_REQUIRE(handle != nullptr);
    curl_easy_setopt(handle.get(), CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(handle.get(), CURLOPT_PROXY, ""); // whatever the environment says
    curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, append);
    BOOST_TEST(get(handle, "/hello") == "hello\n");
    return handle;
}

} // namespace

BOOST_AUTO_TEST_CASE(transfers_wait_side_by_side) {
    BOOST_REQUIRE(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    weft::run([] {
        auto connections = clients::connect_on_fibers(with_connection);
        clients::check_that_operations_wait_side_by_side(connections, [](easy const& handle, int number) {
            auto const n = std::to_string(number);
            // Compared out of BOOST_TEST, which would print both.
            bool const right = get(handle, "/slow?n=" + n) == clients::repeated("answer " + n + "\n", 200);
            BOOST_TEST(right);
        });
    });
    curl_global_cleanup();
}

// A server that accepts, and never answers.
BOOST_AUTO_TEST_CASE(a_transfer_inherits_the_deadline_of_its_caller) {
    BOOST_REQUIRE(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    weft::run([] {
        weft::net::acceptor listener(weft::net::endpoint::parse("127.0.0.1:0"));
        easy const handle(curl_easy_init());
        std::string const url = "http://" + listener.local_endpoint().to_string() + "/";
        curl_easy_setopt(handle.get(), CURLOPT_URL, url.c_str());
        curl_easy_setopt(handle.get(), CURLOPT_PROXY, "");
        auto const begin = weft::clock::now();
        weft::cancel_scope const scope(std::chrono::milliseconds(50));
        BOOST_TEST(curl_easy_perform(handle.get()) != CURLE_OK);
        BOOST_TEST(scope.cancel_called());
        BOOST_TEST((weft::clock::now() - begin < std::chrono::seconds(30)));
    });
    curl_global_cleanup();
}
