// http_session: one HTTP/1.1 connection in blocking style, on Beast's parser and synchronous calls: reads requests,
// answers each by a handler, in order, until one side wants to end.
//
// What a stranger may do is bounded: header block 64 KiB, 128 fields, request line 8190 bytes; 75 s between requests, 10 s
// for a request's header once it has begun, 60 s for an answer to go out. What is over, or malformed, is answered with
// the right 4xx or 5xx, after which the connection is closed, in such a way that the client can read the answer.
// Bodies of requests are not read: a request that has one is answered, and then the connection is closed.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/verb.hpp>

#include "connections.hpp"

namespace weft::services {

struct http_answer {
    boost::beast::http::status status = boost::beast::http::status::ok;
    std::string body;
    std::string allow; // the Allow field's value, with status 405
};

// Of a request, what the services' handlers need: the method, and the target's path, still percent-encoded.
using http_handler = std::function<http_answer(boost::beast::http::verb method, std::string_view path)>;

// Serves the connection, and closes it. HEAD is answered as GET is, without the body.
void serve_http(connection& self, http_handler const& handle);

// The text that a percent-encoded path segment stands for; false if it isn't encoded properly.
bool percent_decode(std::string_view encoded, std::string& decoded);

} // namespace weft::services
