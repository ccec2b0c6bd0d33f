// service: what `weft NAME` runs; and how: workers, accept loops, signals, and a clean end.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include <weft/net/acceptor.hpp>
#include <weft/net/endpoint.hpp>

#include "connections.hpp"

namespace weft::services {

struct service {
    std::string name;
    net::endpoint listen;

    // Accepts on one worker, until the acceptor is stopped.
    std::function<void(net::acceptor& listener, connections& all)> accept_loop;

    // A command that tries the service out.
    std::function<std::string(net::endpoint const& where)> try_line;
};

struct host_options {
    std::size_t workers = 1;
    std::size_t max_connections =
        0; // of each service, on all workers together; 0: what the descriptor limit allows
    std::chrono::milliseconds drain{30'000};
    bool show_try_lines = false;
};

// Runs the services until SIGINT or SIGTERM: then stops accepting, lets the open connections finish for `drain`, and
// returns. A second signal ends the process at once. Prints `listening on ADDRESS` for each service once it accepts.
// Returns the exit code: 0, or 1 with a line on stderr if a service can't start.
int host(std::vector<service> const& services, host_options const& options);

} // namespace weft::services
