// A request and its response by Beast's synchronous functions, over any pair of connected streams.
#pragma once

#include <cstddef>
#include <string>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>

// The request's body is of that many bytes. On fibers.
template <class Stream> void exchange_http(Stream& client, Stream& server, std::size_t size) {
    namespace http = boost::beast::http;
    auto handler = weft::spawn([&] {
        boost::beast::flat_buffer buffer;
        http::request<http::string_body> request;
        http::read(server, buffer, request);
        http::response<http::string_body> response{http::status::ok, 11};
        response.body() = "you sent " + request.body();
        response.prepare_payload();
        http::write(server, response);
    });
    http::request<http::string_body> request{http::verb::post, "/", 11};
    request.body() = std::string(size, 'z');
    request.prepare_payload();
    http::write(client, request);
    boost::beast::flat_buffer buffer;
    http::response<http::string_body> response;
    http::read(client, buffer, response);
    BOOST_TEST(response.body() == "you sent " + request.body());
}
