#include "echo.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "echo.h"

namespace weft::services {
namespace {

struct echo_context {
    net::acceptor& listener;
    connections& all;
};

void start_on_fiber(void (*handler)(int), int connection, void* context) {
    auto& self = *static_cast<echo_context*>(context);
    self.listener.succeeded();
    self.all.start(connection, [handler](services::connection const& accepted) { handler(accepted.fd()); });
}

void accept_loop(net::acceptor& listener, connections& all) {
    echo_context context{listener, all};
    do {
        echo_server(listener.native_handle(), start_on_fiber, &context);
    } while (listener.recover(errno));
}

std::string try_line(net::endpoint const& where) {
    if (where.is_unix())
        return fmt::format("echo hello | nc -NU {}", where.path());
    std::string const address = where.to_string();
    return fmt::format("echo hello | nc -N {} {}", address.substr(0, address.rfind(':')), where.port());
}

} // namespace

service echo_service(net::endpoint const& listen) {
    return {.name = "echo", .listen = listen, .accept_loop = accept_loop, .try_line = try_line};
}

} // namespace weft::services
