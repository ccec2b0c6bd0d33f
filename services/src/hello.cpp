#include "hello.hpp"

#include <fmt/format.h>

#include "http_session.hpp"

namespace weft::services {
namespace {

namespace http = boost::beast::http;

http_answer hello(http::verb method, std::string_view path) {
    if (method != http::verb::get && method != http::verb::head)
        return {.status = http::status::method_not_allowed,
                .body = "Only GET and HEAD here.\n",
                .allow = "GET, HEAD"};
    std::string_view const segment = path.empty() ? path : path.substr(1);
    if (path.empty() || path.front() != '/' || segment.find('/') != std::string_view::npos)
        return {.status = http::status::not_found, .body = "Try /NAME.\n", .allow = {}};
    if (segment.empty())
        return {.body = "Hello, Anonymous", .allow = {}};
    std::string name;
    if (!percent_decode(segment, name))
        return {.status = http::status::bad_request,
                .body = "The name is not percent-encoded properly.\n",
                .allow = {}};
    return {.body = "Hello, " + name, .allow = {}};
}

void accept_loop(net::acceptor& listener, connections& all) {
    for (;;) {
        net::error_code error;
        net::tcp_stream accepted = listener.accept(error);
        if (error)
            return;
        all.start(accepted.release(), [](connection& self) { serve_http(self, hello); });
    }
}

std::string try_line(net::endpoint const& where) {
    if (where.is_unix())
        return fmt::format("curl --unix-socket {} http://localhost/World", where.path());
    return fmt::format("curl http://{}/World", where.to_string());
}

} // namespace

service hello_service(net::endpoint const& listen) {
    return {.name = "hello", .listen = listen, .accept_loop = accept_loop, .try_line = try_line};
}

} // namespace weft::services
