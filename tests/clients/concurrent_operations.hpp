// What the tests of client libraries have in common: 100 operations at once on one worker, each of which the server keeps
// waiting for 100 ms.
//
// One thread does all of it, so if they take about as long as one operation, every one of them parked its fiber while it
// waited; and a fiber that wants to run each millisecond shows that no call kept the thread for itself.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/clock.hpp>
#include <weft/detail/call_counts.hpp>
#include <weft/fiber.hpp>
#include <weft/this_fiber.hpp>

#include "support/memory.hpp"
#include "support/threads.hpp"

namespace clients {

using milliseconds = std::chrono::duration<double, std::milli>;

inline constexpr int operation_count = 100;

// One after the other, the operations would take 10 s. Sanitizers make the libraries' own work several times slower.
inline constexpr milliseconds time_limit{support::sanitized ? 5000 : 1000};
inline constexpr milliseconds slip_limit{support::sanitized ? 200 : 20};
// Other programs may have the processors just then. That excuses a late attempt, never a wrong answer.
inline constexpr int attempt_count = 3;

// What with_server.py says of the server.
inline std::string setting(char const* name) {
    char const* const value = std::getenv(name);
    if (value == nullptr)
        throw std::runtime_error(std::string(name) + " is not set: run this program by with_server.py");
    return value;
}
inline std::string server_host() { return setting("WEFT_TEST_HOST"); }
inline std::string server_port() { return setting("WEFT_TEST_PORT"); }

inline std::string repeated(std::string const& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i)
        all += text;
    return all;
}

// What connect() returns, on 100 fibers at once. Throws what the first of them throws.
template <class Connect> auto connect_on_fibers(Connect connect) {
    using connection = std::invoke_result_t<Connect&>;
    std::vector<weft::fiber<connection>> fibers;
    for (int i = 0; i < operation_count; ++i)
        fibers.push_back(weft::spawn([&connect] { return connect(); }));
    std::vector<connection> connections;
    for (auto& fiber : fibers)
        connections.push_back(fiber.get());
    return connections;
}

// A fiber that wants to run every millisecond, until stop(): how much too late did it, and how many threads did it see?
class heartbeat {
public:
    heartbeat() = default;
    heartbeat(heartbeat const&) = delete;
    heartbeat& operator=(heartbeat const&) = delete;
    ~heartbeat() { stopping_ = true; } // and fiber_ is joined

    void stop() {
        stopping_ = true;
        fiber_.get();
    }

    [[nodiscard]] milliseconds largest_slip() const { return largest_slip_; }
    [[nodiscard]] std::size_t most_threads() const { return most_threads_; }

private:
    void beat() {
        while (!stopping_) {
            auto const due = weft::clock::now() + std::chrono::milliseconds(1);
            weft::this_fiber::sleep_until(due);
            largest_slip_ = std::max<milliseconds>(largest_slip_, weft::clock::now() - due);
            most_threads_ = std::max(most_threads_, support::thread_count());
        }
    }

    bool stopping_ = false;
    milliseconds largest_slip_{0};
    std::size_t most_threads_ = 0;
    weft::fiber<> fiber_ = weft::spawn([this] { beat(); });
};

// Checks the claim above of operation(connection, number), which is called once for each of 100 connections and checks its
// result itself. To be called on a fiber of a run with one worker.
template <class Connection, class Operation>
void check_that_operations_wait_side_by_side(std::vector<Connection>& connections, Operation operation) {
    for (int attempt = 1; attempt <= attempt_count; ++attempt) {
        milliseconds shortest = milliseconds::max();
        heartbeat heart;
        auto const parked = weft::detail::thread_counts.parked;
        auto const start = weft::clock::now();
        std::vector<weft::fiber<>> fibers;
        for (std::size_t i = 0; i < connections.size(); ++i)
            fibers.push_back(weft::spawn([&, i] {
                auto const begin = weft::clock::now();
                operation(connections[i], static_cast<int>(i));
                milliseconds const taken = weft::clock::now() - begin;
                shortest = std::min(shortest, taken);
            }));
        for (auto& fiber : fibers)
            fiber.get();
        milliseconds const total = weft::clock::now() - start;
        heart.stop();
        std::printf(
            "attempt %d: %d operations in %.0f ms, the shortest %.0f ms, largest slip %.1f ms, parked %llu times\n",
            attempt, operation_count, total.count(), shortest.count(), heart.largest_slip().count(),
            static_cast<unsigned long long>(weft::detail::thread_counts.parked - parked));

        // Less: the server did not keep them waiting, and nothing is shown.
        BOOST_TEST(shortest.count() > 95);
        // No library has threads that wait in our place.
        BOOST_TEST(heart.most_threads() == 1U);
        bool const in_time = total < time_limit && heart.largest_slip() < slip_limit;
        if (!in_time && attempt < attempt_count)
            continue;
        BOOST_TEST(total.count() < time_limit.count());
        BOOST_TEST(heart.largest_slip().count() < slip_limit.count());
        return;
    }
}

} // namespace clients
