// cpp-httplib's server with a fiber for each connection, where by itself it has threads for as many as it has processors.
//
// Its keep-alive asks each idle connection every 10 ms whether something came, so this is also a trial of many short waits.
// Debian's build of it uses poll, not select, whose sets end at descriptor 1023.
#include <arpa/inet.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>

#include "support/memory.hpp"
#include "support/sockets.hpp"
#include "support/threads.hpp"

namespace {

constexpr std::size_t client_count = 5000;

// What takes the place of httplib's thread pool.
class fiber_per_connection final : public httplib::TaskQueue {
public:
    // void, or bool in httplib's later versions: whether there was room.
    using outcome = decltype(std::declval<httplib::TaskQueue&>().enqueue(nullptr));

    outcome enqueue(std::function<void()> connection) override {
        weft::spawn([this, connection = std::move(connection)] {
            connection();
            ended_.release();
        }).detach();
        ++started_;
        return static_cast<outcome>(true);
    }

    void shutdown() override {
        for (; started_ > 0; --started_)
            ended_.acquire();
    }

private:
    std::size_t started_ = 0;
    weft::semaphore ended_{0};
};

// Where all clients wait for each other: nobody is answered before the last one has asked.
class meeting {
public:
    // Returns whether the caller is the last one.
    bool attend() {
        std::unique_lock lock(mutex_);
        if (++present_ == client_count) {
            everybody_.notify_all();
            return true;
        }
        everybody_.wait(lock, [this] { return present_ >= client_count; });
        return false;
    }

    // The clients are gone.
    void dissolve() {
        std::scoped_lock const lock(mutex_);
        present_ += client_count;
        everybody_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable everybody_;
    std::size_t present_ = 0;
};

// All clients, in a process of their own, by plain blocking calls: they write their requests all at once, and only then read
// the responses.
class load {
public:
    explicit load(int port) : connections_(client_count) {
        server_.sin_family = AF_INET;
        server_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        server_.sin_port = htons(static_cast<std::uint16_t>(port));
    }

    // Returns the process's exit status.
    int run() {
        timed("connect and greet", [this] {
            // The kernel lets 4096 wait for accept; what comes on top is lost for a second.
            for (std::size_t first = 0; first < client_count; first += 1000) {
                for (std::size_t i = first; i < first + 1000; ++i) {
                    connections_[i] = support::unique_fd(::socket(AF_INET, SOCK_STREAM, 0));
                    if (::connect(connections_[i].get(), reinterpret_cast<sockaddr*>(&server_),
                                  sizeof server_) != 0)
                        fail("connect", i);
                    ask("greet", i);
                }
                for (std::size_t i = first; i < first + 1000; ++i)
                    expect("greet", i);
            }
        });
        for (char const* const path : {"greet", "meet", "greet"})
            timed(path, [this, path] {
                for (std::size_t i = 0; i < client_count; ++i)
                    ask(path, i);
                for (std::size_t i = 0; i < client_count; ++i)
                    expect(path, i);
            });
        return 0;
    }

private:
    [[noreturn]] static void fail(char const* what, std::size_t client) {
        std::fprintf(stderr, "client %zu: %s\n", client, what);
        std::_Exit(1);
    }

    template <class Round> static void timed(char const* what, Round round) {
        auto const start = std::chrono::steady_clock::now();
        round();
        std::chrono::duration<double> const taken = std::chrono::steady_clock::now() - start;
        std::printf("%zu clients %s: %.2f s\n", client_count, what, taken.count());
        std::fflush(stdout);
    }

    void ask(char const* path, std::size_t client) {
        auto const request = "GET /" + std::string(path) + "/" + std::to_string(client) +
                             " HTTP/1.1\r\nHost: localhost\r\n\r\n";
        if (::send(connections_[client].get(), request.data(), request.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(request.size()))
            fail("send", client);
    }

    void expect(char const* path, std::size_t client) {
        std::string const body = std::string(path) + " " + std::to_string(client);
        std::string response;
        std::string buffer(4096, '\0');
        while (!response.ends_with("\r\n\r\n" + body)) {
            ssize_t const count = ::recv(connections_[client].get(), buffer.data(), buffer.size(), 0);
            if (count <= 0)
                fail(("the connection ended after: " + response).c_str(), client);
            response.append(buffer, 0, static_cast<std::size_t>(count));
        }
        if (!response.starts_with("HTTP/1.1 200 ") ||
            response.find("Content-Length: " + std::to_string(body.size()) + "\r\n") == std::string::npos ||
            response.find("Connection: close") != std::string::npos)
            fail(("wrong response: " + response).c_str(), client);
    }

    sockaddr_in server_{};
    std::vector<support::unique_fd> connections_;
};

void raise_descriptor_limit() {
    rlimit limit{};
    BOOST_REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    BOOST_REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    BOOST_REQUIRE_MESSAGE(limit.rlim_max >= client_count + 100,
                          "the limit of open files is too low for this test");
}

} // namespace

BOOST_AUTO_TEST_CASE(one_thread_serves_5000_keep_alive_clients) {
    raise_descriptor_limit();

    httplib::Server server;
    meeting everybody;
    std::size_t most_threads = 0;
    std::size_t const resident_before = support::resident_bytes();
    server.Get(R"(/greet/(\d+))", [](httplib::Request const& request, httplib::Response& response) {
        response.set_content("greet " + request.matches[1].str(), "text/plain");
    });
    server.Get(R"(/meet/(\d+))", [&](httplib::Request const& request, httplib::Response& response) {
        if (everybody.attend()) {
            most_threads = support::thread_count();
            std::printf("with all of them in a handler: %zu threads, %.1f KiB a connection\n", most_threads,
                        static_cast<double>(support::resident_bytes() - resident_before) / 1024 /
                            client_count);
        }
        response.set_content("meet " + request.matches[1].str(), "text/plain");
    });
    server.new_task_queue = [] { return new fiber_per_connection; };
    server.set_keep_alive_max_count(100);
    server.set_keep_alive_timeout(100);
    server.set_tcp_nodelay(true);
    int listener = -1;
    server.set_socket_options([&listener](int socket) { listener = socket; });
    int const port = server.bind_to_any_port("127.0.0.1");
    BOOST_REQUIRE(port > 0);
    // httplib asks for 5, and has no other way to ask for more than to compile it again.
    BOOST_REQUIRE(::listen(listener, SOMAXCONN) == 0);

    std::cout.flush(); // or the child prints it once more
    pid_t const clients = ::fork();
    BOOST_REQUIRE(clients >= 0);
    if (clients == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        std::_Exit(load(port).run());
    }
    weft::run([&] {
        auto listening = weft::spawn([&server] { return server.listen_after_bind(); });
        int status = 0;
        BOOST_TEST(::waitpid(clients, &status, 0) == clients);
        BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 0));
        everybody.dissolve();
        // One that does not run yet can't be stopped.
        while (!server.is_running())
            weft::this_fiber::yield();
        server.stop();
        BOOST_TEST(listening.get());
    });
    BOOST_TEST(most_threads == 1U);
}
