// The load mode of echo_load: see echo_load.cpp for what it does.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "echo_client.hpp"
#include "latency_histogram.hpp"
#include "process_meter.hpp"

// Sums over the counted parts of all slices of one server.
struct load_result {
    std::uint64_t window_ns = 0;
    std::uint64_t own_cpu_ns = 0;
    cpu_reading server_cpu;
    memory_reading server_memory;
    latency_histogram latencies;
};

// Connects to all servers, warms each up, and drives them slice by slice; with a single one, in one slice.
// `meters` and the results are in the order of o.servers. Fails when a connection is lost, when an answer
// differs from its request, or when a server falls silent, as a whole or for a single connection.
std::vector<load_result> run_load(const options& o, const std::vector<std::optional<process_meter>>& meters);
