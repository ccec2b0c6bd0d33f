// The idle mode of echo_load: see echo_load.cpp for what it does.
#pragma once

#include <optional>

#include "echo_client.hpp"
#include "process_meter.hpp"

// The answer to a request is read only after all of the request has left, so a request must fit into the
// sockets' buffers.
inline constexpr std::size_t largest_idle_request = 16 * 1024;

struct idle_result {
    memory_reading before;
    memory_reading after;
};

// Opens and holds the connections. Fails when one is lost, or answered with other bytes than it sent.
idle_result run_idle(const options& o, const process_meter& server);
