// echo_load: a closed-loop load generator for echo servers, and a meter for what an idle connection costs
// them.
//
// Load (the default): every connection has one request in flight; when its answer is complete, the next one
// leaves at once. Every byte of every answer is compared with what was sent, and what is sent differs from
// request to request and from connection to connection, so stale, swapped or lost bytes end the run. Being a
// closed loop, it shows throughput, and latency at saturation; not latency at a given rate.
//
// Several servers (--connect repeated) are compared by driving them in turn, in slices so short that the
// machine's speed, which drifts, is alike for all. A slice ends when nothing is in flight and the server is
// at rest, so its processor time belongs to exactly the requests of the slice. Meant for servers that share a
// core, which works as long as one that is not driven uses no processor time.
//
// Idle (--idle N): N connections make one round trip each and then stay open; the server's memory is read
// before and after. Memory of the kernel (the sockets) is not part of it.
//
// One thread, one epoll instance per server, and as few calls per request as the server it measures can make
// at best: pin it to another core than the server. The share of a core that each of the two used is reported;
// the server was the bottleneck if its share is near 100 %.
//
// Exit status: 0 fine; 1 the run failed (refused, wrong bytes, the server died or went silent); 2 wrong
// usage.

#include <getopt.h>
#include <sys/types.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "echo_client.hpp"
#include "idle_mode.hpp"
#include "latency_histogram.hpp"
#include "load_mode.hpp"
#include "process_meter.hpp"

namespace {

struct usage_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

double micros(std::uint64_t ns) { return static_cast<double>(ns) / 1e3; }

double share(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// The JSON object comes without a line end, as it may be one of several.
void report_load(const options& o, const server_options& server, const load_result& r) {
    const std::uint64_t requests = r.latencies.count();
    const double rate = share(requests, r.window_ns) * 1e9;
    const double own_cpu_us = share(r.own_cpu_ns, requests) / 1e3;
    const double own_share = share(r.own_cpu_ns, r.window_ns);
    const latency_histogram& l = r.latencies;
    const double p50 = micros(l.quantile(0.5)), p90 = micros(l.quantile(0.9)), p99 = micros(l.quantile(0.99)),
                 p999 = micros(l.quantile(0.999)), max = micros(l.max());

    const auto [server_ns, user, system] = r.server_cpu;
    const double cpu_us = share(server_ns, requests) / 1e3;
    const double user_us = cpu_us * share(user, user + system);
    const double system_us = cpu_us * share(system, user + system);
    const double server_share = share(server_ns, r.window_ns);
    const auto rss = static_cast<unsigned long long>(r.server_memory.rss);

    if (o.json) {
        std::printf("{\"connections\": %zu, \"size\": %zu, \"seconds\": %.6f, \"requests\": %llu, "
                    "\"requests_per_second\": %.1f, \"latency_us\": {\"p50\": %.2f, \"p90\": %.2f, "
                    "\"p99\": %.2f, \"p99.9\": %.2f, \"max\": %.2f}, "
                    "\"load\": {\"cpu_us_per_request\": %.4f, \"core_share\": %.4f}",
                    o.connections, o.size, static_cast<double>(r.window_ns) / 1e9,
                    static_cast<unsigned long long>(requests), rate, p50, p90, p99, p999, max, own_cpu_us,
                    own_share);
        if (server.pid != 0) {
            std::printf(", \"server\": {\"cpu_us_per_request\": %.4f, \"user_us_per_request\": %.4f, "
                        "\"system_us_per_request\": %.4f, \"core_share\": %.4f, \"rss_bytes\": %llu}",
                        cpu_us, user_us, system_us, server_share, rss);
        }
        std::printf("}");
        return;
    }
    std::printf("%zu connections, %zu bytes, one request in flight each, %.2f s\n", o.connections, o.size,
                static_cast<double>(r.window_ns) / 1e9);
    std::printf("requests/s   %.0f\n", rate);
    std::printf("latency us   p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n", p50, p90, p99, p999,
                max);
    if (server.pid != 0) {
        std::printf("server       %.3f us CPU/request (about %.2f user + %.2f system), %.1f %% of a core, "
                    "%.1f MiB resident\n",
                    cpu_us, user_us, system_us, server_share * 100, static_cast<double>(rss) / 1048576);
    }
    std::printf("load         %.3f us CPU/request, %.1f %% of a core\n", own_cpu_us, own_share * 100);
}

void report_all_loads(const options& o, const std::vector<load_result>& results) {
    const bool several = results.size() > 1;
    if (several && o.json)
        std::printf("{\"servers\": [");
    for (std::size_t i = 0; i < results.size(); ++i) {
        if (several && o.json && i != 0)
            std::printf(", ");
        if (several && !o.json)
            std::printf("%s%s:%s\n", i != 0 ? "\n" : "", o.servers[i].host.c_str(),
                        o.servers[i].port.c_str());
        report_load(o, o.servers[i], results[i]);
    }
    if (o.json)
        std::printf(several ? "]}\n" : "\n");
}

void report_idle(const options& o, const idle_result& r) {
    const bool has_pss = r.before.pss != 0 && r.after.pss != 0;
    const char* measure = has_pss ? "Pss" : "VmRSS";
    const auto per_connection = [&](std::uint64_t from, std::uint64_t to) {
        return (static_cast<double>(to) - static_cast<double>(from)) / static_cast<double>(o.idle);
    };
    const double rss_each = per_connection(r.before.rss, r.after.rss);
    const double each = has_pss ? per_connection(r.before.pss, r.after.pss) : rss_each;
    const auto from = static_cast<unsigned long long>(has_pss ? r.before.pss : r.before.rss);
    const auto to = static_cast<unsigned long long>(has_pss ? r.after.pss : r.after.rss);
    if (o.json) {
        std::printf(
            "{\"idle\": %zu, \"size\": %zu, \"measure\": \"%s\", \"before_bytes\": %llu, "
            "\"after_bytes\": %llu, \"bytes_per_connection\": %.1f, \"rss_bytes_per_connection\": %.1f}\n",
            o.idle, o.size, measure, from, to, each, rss_each);
        return;
    }
    std::printf("%zu idle connections, one round trip of %zu bytes each\n", o.idle, o.size);
    std::printf("server %-5s %llu KiB before, %llu KiB after\n", measure, from / 1024, to / 1024);
    std::printf("per idle connection %.0f bytes\n", each);
}

constexpr const char* usage =
    "usage: echo_load --connect HOST:PORT [--connect HOST:PORT]... [options]\n"
    "  --connect HOST:PORT  the echo server ([HOST]:PORT for IPv6); several are driven in turn\n"
    "  --connections N      connections per server, one request in flight each (default 256)\n"
    "  --size N             bytes per request (default 64)\n"
    "  --seconds S          measured time per server (default 3)\n"
    "  --warmup S           load per server before that (default 1)\n"
    "  --slice-ms MS        several servers: measured time of one turn (default 10)\n"
    "  --idle N             instead: N connections, one round trip each, held open; needs --server-pid\n"
    "  --server-pid PID     also measure this process: CPU per request, memory; if repeated, one for each\n"
    "                       --connect, in the same order\n"
    "  --json               print one JSON object; of several servers, {\"servers\": [one object each]}\n";

template <class Number> Number parse_number(const char* option, const char* text, Number least, Number most) {
    Number value{};
    const char* end = text + std::strlen(text);
    const auto [rest, error] = std::from_chars(text, end, value);
    if (error != std::errc{} || rest != end || !(value >= least && value <= most))
        throw usage_error("--" + std::string(option) + ": '" + text + "' is not a number in range");
    return value;
}

server_options parse_endpoint(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size())
        throw usage_error("--connect: '" + std::string(text) + "' is not HOST:PORT");
    std::string_view host = text.substr(0, colon);
    if (host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    return {std::string(host), std::string(text.substr(colon + 1))};
}

// The n-th --server-pid belongs to the n-th --connect.
void assign_pids(options& o, const std::vector<pid_t>& pids) {
    if (o.servers.empty())
        throw usage_error("--connect HOST:PORT is missing");
    if (pids.empty())
        return;
    if (pids.size() != o.servers.size())
        throw usage_error("give --server-pid for every --connect or for none");
    for (std::size_t i = 0; i < pids.size(); ++i)
        o.servers[i].pid = pids[i];
}

options parse(int argc, char** argv) {
    enum id { connect, connections, size, seconds, warmup, slice_ms, idle, server_pid, json, help };
    static const ::option table[] = {{"connect", required_argument, nullptr, connect},
                                     {"connections", required_argument, nullptr, connections},
                                     {"size", required_argument, nullptr, size},
                                     {"seconds", required_argument, nullptr, seconds},
                                     {"warmup", required_argument, nullptr, warmup},
                                     {"slice-ms", required_argument, nullptr, slice_ms},
                                     {"idle", required_argument, nullptr, idle},
                                     {"server-pid", required_argument, nullptr, server_pid},
                                     {"json", no_argument, nullptr, json},
                                     {"help", no_argument, nullptr, help},
                                     {nullptr, 0, nullptr, 0}};
    constexpr std::size_t most_connections = 1'000'000;
    constexpr std::size_t most_bytes = std::size_t{1} << 30;
    options o;
    std::vector<pid_t> pids;
    opterr = 0;
    int index = 0;
    for (int found; (found = ::getopt_long(argc, argv, ":", table, &index)) != -1;) {
        const char* name = table[index].name;
        switch (found) {
        case connect: o.servers.push_back(parse_endpoint(optarg)); break;
        case connections: o.connections = parse_number<std::size_t>(name, optarg, 1, most_connections); break;
        case size: o.size = parse_number<std::size_t>(name, optarg, 1, most_bytes); break;
        case seconds: o.seconds = parse_number<double>(name, optarg, 0.01, 86'400); break;
        case warmup: o.warmup = parse_number<double>(name, optarg, 0, 86'400); break;
        case slice_ms: o.slice_ms = parse_number<double>(name, optarg, 1, 60'000); break;
        case idle: o.idle = parse_number<std::size_t>(name, optarg, 1, most_connections); break;
        case server_pid: pids.push_back(parse_number<pid_t>(name, optarg, 1, 1 << 30)); break;
        case json: o.json = true; break;
        case help: std::fputs(usage, stdout); std::exit(0);
        case ':': throw usage_error(std::string(argv[optind - 1]) + " needs a value");
        default: throw usage_error("unknown option " + std::string(argv[optind - 1]));
        }
    }
    if (optind != argc)
        throw usage_error("unexpected argument '" + std::string(argv[optind]) + "'");
    assign_pids(o, pids);
    if (o.idle != 0 && o.servers.size() != 1)
        throw usage_error("--idle takes one --connect");
    if (o.idle != 0 && pids.empty())
        throw usage_error("--idle needs --server-pid");
    if (o.idle != 0 && o.size > largest_idle_request)
        throw usage_error("--idle takes a --size of at most " + std::to_string(largest_idle_request));
    return o;
}

} // namespace

int main(int argc, char** argv) {
    try {
        const options o = parse(argc, argv);
        std::vector<std::optional<process_meter>> meters(o.servers.size());
        for (std::size_t i = 0; i < meters.size(); ++i) {
            if (const pid_t pid = o.servers[i].pid; pid != 0)
                meters[i].emplace(pid);
        }
        raise_descriptor_limit(o.idle != 0 ? o.idle : o.connections * o.servers.size());
        if (o.idle != 0) {
            report_idle(o, run_idle(o, *meters.front()));
        } else {
            report_all_loads(o, run_load(o, meters));
        }
        return 0;
    } catch (const usage_error& error) {
        std::fprintf(stderr, "echo_load: %s (see --help)\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "echo_load: %s\n", error.what());
        return 1;
    }
}
