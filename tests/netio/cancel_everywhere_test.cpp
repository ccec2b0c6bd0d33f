// A server is cancelled at each of its waits, one run after the other: whichever it is, no fiber, descriptor or memory is left behind.
#include <dirent.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/testing.hpp>
#include <weft/weft.hpp>

#include "support/allocations.hpp"
#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;
using weft::testing::at_park;
using weft::testing::park_point;

std::size_t open_descriptors() {
    DIR* const all = ::opendir("/proc/self/fd");
    std::size_t count = 0;
    while (::readdir(all) != nullptr) // NOLINT(concurrency-mt-unsafe): the stream is ours alone
        ++count;
    ::closedir(all);
    return count;
}

// What connections have in common.
struct shared_state {
    weft::semaphore at_once{2, "connections at once"};
    weft::mutex mutex{"log"};
    weft::condition_variable changed{"log"};
    weft::channel<std::string> lines{1, "lines"};
    weft::event listening{"listening"};
    int served = 0;
};

// Reads a line, has its length computed elsewhere, logs it, and answers.
void serve_connection(support::unique_fd connection, shared_state& state) {
    std::scoped_lock const permit(state.at_once);
    char buffer[64];
    ssize_t const count = ::recv(connection.get(), buffer, sizeof buffer, 0);
    if (count <= 0)
        return;
    std::string line(buffer, static_cast<std::size_t>(count));
    auto const length = weft::offload([&] { return line.size(); });
    std::string const answer = std::to_string(length) + "\n";
    ::send(connection.get(), answer.data(), answer.size(), 0);
    state.lines.send(std::move(line));
    weft::this_fiber::sleep_for(1ms); // so that others wait for it
    {
        std::scoped_lock const lock(state.mutex);
        ++state.served;
    }
    state.changed.notify_all();
}

void accept_connections(support::listener const& listener, shared_state& state,
                        weft::task_group& connections) {
    state.listening.set();
    for (;;) {
        support::unique_fd connection(::accept(listener.fd.get(), nullptr, nullptr));
        if (connection.get() < 0)
            return;
        connections.spawn(
            [&state, fd = std::move(connection)]() mutable { serve_connection(std::move(fd), state); });
    }
}

void ask(support::listener const& listener) {
    support::unique_fd const fd(::socket(AF_INET, SOCK_STREAM, 0));
    if (::connect(fd.get(), listener.where(), sizeof listener.address) != 0)
        return;
    static_cast<void>(::send(fd.get(), "hello", 5, 0));
    char answer[16];
    static_cast<void>(::recv(fd.get(), answer, sizeof answer, 0));
}

// Three clients, and a server that ends when it has served them, or after a while.
void run_server() {
    support::listener const listener;
    shared_state state;
    weft::move_on_after(200ms, [&] {
        weft::with_task_group(weft::failure_policy::report, [&](weft::task_group& group) {
            group.spawn({.name = "acceptor"}, [&] { accept_connections(listener, state, group); });
            group.spawn({.name = "logger"}, [&] {
                for (std::string const& line : state.lines)
                    static_cast<void>(line);
            });
            state.listening.wait();
            weft::map(
                std::vector<int>{1, 2, 3}, [&](int) { ask(listener); }, 2);
            std::unique_lock lock(state.mutex);
            state.changed.wait_for(lock, 50ms, [&] { return state.served == 3; });
            lock.unlock();
            state.lines.close();
            group.cancel();
        });
    });
}

// A thread that made an offloaded call lets go of it a moment after its caller.
bool settles_at(long allocations) {
    auto const limit = weft::clock::now() + 10s;
    while (support::allocations_alive != allocations && weft::clock::now() < limit)
        std::this_thread::yield();
    return support::allocations_alive == allocations;
}

// The scope around the server that runs.
weft::cancel_scope* whole_server = nullptr;

void run_in_scope() {
    weft::cancel_scope scope;
    whole_server = &scope;
    scope.run(run_server);
}

// Runs it once for each wait, with `meddle` called at that one. Returns the names of the waits that were met with.
std::vector<std::string_view> try_every_wait(std::function<void(park_point const&)> const& meddle) {
    constexpr std::uint64_t too_many = 2000;
    std::vector<std::string_view> met; // of literals
    met.reserve(too_many);
    long allocations = -1; // once all is made that stays for good
    for (int runs = 0; runs < 10 && support::allocations_alive != allocations; ++runs) {
        allocations = support::allocations_alive;
        weft::run(run_in_scope);
    }
    std::size_t const descriptors = open_descriptors();
    bool reached = true;
    for (std::uint64_t n = 0; reached; ++n) {
        BOOST_REQUIRE(n < too_many);
        {
            at_park const at(n, [&](park_point const& point) {
                met.push_back(point.operation());
                meddle(point);
            });
            try {
                weft::run(run_in_scope);
            } catch (weft::fiber_cancelled const&) { // main itself
            }
            reached = at.reached();
        }
        BOOST_REQUIRE_MESSAGE(open_descriptors() == descriptors, "descriptors, cancelled at wait " << n);
        BOOST_REQUIRE_MESSAGE(settles_at(allocations), support::allocations_alive - allocations
                                                           << " allocations, cancelled at wait " << n);
    }
    return met;
}

void expect_many_kinds(std::vector<std::string_view> const& met) {
    BOOST_TEST(met.size() > 15);
    // When offloaded calls end is left to chance, so in which order some waits come: not each kind is met with for certain.
    for (char const* const wait : {"accept", "recv", "event"})
        BOOST_TEST((std::find(met.begin(), met.end(), wait) != met.end()), wait);
}

} // namespace

BOOST_AUTO_TEST_CASE(the_waiting_fiber_is_cancelled_at_every_wait) {
    expect_many_kinds(try_every_wait([](park_point const& point) { point.cancel(); }));
}

BOOST_AUTO_TEST_CASE(the_whole_server_is_cancelled_at_every_wait) {
    expect_many_kinds(try_every_wait([](park_point const&) { whole_server->cancel(); }));
}
