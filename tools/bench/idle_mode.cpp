// See idle_mode.hpp.
#include "idle_mode.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

// One request on a blocking socket.
void round_trip(connection& c, const pattern& bytes, std::size_t index, std::vector<char>& answer,
                const process_meter& server) {
    c.request = bytes.slice(c.pattern_state);
    if (const ssize_t n = ::send(c.fd.get(), c.request, answer.size(), MSG_NOSIGNAL);
        n != static_cast<ssize_t>(answer.size()))
        fail_lost(index, server, n < 0 ? errno : EAGAIN);
    const ssize_t n = ::recv(c.fd.get(), answer.data(), answer.size(), MSG_WAITALL);
    if (n != static_cast<ssize_t>(answer.size()))
        fail_lost(index, server, n < 0 ? errno : (n == 0 ? 0 : EAGAIN));
    if (std::memcmp(answer.data(), c.request, answer.size()) != 0)
        fail("connection " + std::to_string(index) + " received wrong bytes");
}

} // namespace

idle_result run_idle(const options& o, const process_meter& server) {
    const target where(o.servers.front());
    const pattern bytes(o.size);
    std::vector<char> answer(o.size);
    std::vector<connection> held;
    held.reserve(o.idle);

    // A first connection touches the server's code for the first time; those pages are no connection's.
    {
        connection first{where.connect(), pattern_seed(o.idle)};
        round_trip(first, bytes, 0, answer, server);
    }
    server.wait_until_quiet(50ms, 2s);
    idle_result result;
    result.before = server.read_memory();
    for (std::size_t i = 0; i < o.idle; ++i) {
        held.push_back({where.connect(), pattern_seed(i)});
        round_trip(held[i], bytes, i, answer, server);
    }
    server.wait_until_quiet(50ms, 2s);
    result.after = server.read_memory();
    for (std::size_t i = 0; i < o.idle; ++i) {
        const ssize_t n = ::recv(held[i].fd.get(), answer.data(), 1, MSG_DONTWAIT);
        if (n > 0)
            fail("connection " + std::to_string(i) + " received more bytes than it sent");
        if (n == 0 || errno != EAGAIN)
            fail_lost(i, server, n == 0 ? 0 : errno);
    }

    return result;
}
