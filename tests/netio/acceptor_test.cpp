// acceptor and accept_policy: what a server lives through.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <vector>

#include <boost/asio/error.hpp>
#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>
#include <weft/net/acceptor.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>

#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;
using weft::net::accept_action;
using weft::net::acceptor;
using weft::net::endpoint;
using weft::net::tcp_stream;

endpoint any_port() { return endpoint::parse("127.0.0.1:0"); }

// The soft limit on descriptors, put back at the end of the scope.
class descriptor_limit {
public:
    explicit descriptor_limit(rlim_t limit) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit lower = before_;
        lower.rlim_cur = limit;
        ::setrlimit(RLIMIT_NOFILE, &lower);
    }
    ~descriptor_limit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

} // namespace

BOOST_AUTO_TEST_CASE(policy) {
    weft::net::accept_policy errors;
    for (int error : {ECONNABORTED, EINTR, EPROTO, ENETDOWN})
        BOOST_TEST((errors.failed(error) == accept_action::go_on));
    for (int error : {EBADF, EINVAL, ENOTSOCK, EFAULT})
        BOOST_TEST((errors.failed(error) == accept_action::stop));
    std::vector<long> pauses;
    for (int i = 0; i < 9; ++i) {
        BOOST_TEST((errors.failed(i % 2 == 0 ? EMFILE : ENFILE) == accept_action::back_off));
        BOOST_TEST(errors.shortage_begins() == (i == 0));
        pauses.push_back(errors.pause().count());
    }
    BOOST_TEST(pauses == (std::vector<long>{10, 20, 40, 80, 160, 320, 640, 1000, 1000}),
               boost::test_tools::per_element());
    errors.succeeded();
    errors.failed(ENOMEM);
    BOOST_TEST(errors.pause().count() == 10);
}

BOOST_AUTO_TEST_CASE(accepts_and_stops) {
    weft::run([] {
        acceptor listener(any_port());
        auto const where = listener.local_endpoint();
        BOOST_TEST(where.port() != 0);
        auto client = weft::spawn([&] { return tcp_stream::connect(where); });
        tcp_stream const accepted = listener.accept();
        BOOST_TEST(accepted.remote_endpoint().to_string() == client.get().local_endpoint().to_string());
        auto stopper = weft::spawn([&] { listener.stop(); });
        weft::net::error_code error;
        BOOST_TEST(!listener.accept(error).is_open());
        BOOST_TEST(error == boost::asio::error::operation_aborted);
        BOOST_CHECK_THROW(listener.accept(), boost::system::system_error);
        auto closer = weft::spawn([&] { listener.close(); });
        listener.accept(error);
        BOOST_TEST(error == boost::asio::error::operation_aborted);
    });
}

BOOST_AUTO_TEST_CASE(a_taken_port_is_refused_for_one_and_for_many) {
    weft::run([] {
        acceptor const first(any_port());
        auto const taken = first.local_endpoint();
        auto const names_it = [&](std::exception const& e) {
            return std::string(e.what()).find(taken.to_string()) != std::string::npos;
        };
        BOOST_CHECK_EXCEPTION(acceptor{taken}, boost::system::system_error, names_it);
        BOOST_CHECK_EXCEPTION(acceptor::for_workers(taken, 3), boost::system::system_error, names_it);
        auto const group = acceptor::for_workers(any_port(), 3);
        auto const shared = group.front().local_endpoint();
        BOOST_CHECK_THROW(acceptor{shared}, boost::system::system_error);
        BOOST_CHECK_THROW(acceptor::for_workers(shared, 2), boost::system::system_error);
    });
}

BOOST_AUTO_TEST_CASE(every_worker_has_its_own_or_shares_a_unix_socket) {
    std::string const path = "weft-test-accept-" + std::to_string(::getpid());
    for (endpoint const& local : {any_port(), endpoint::parse("unix:" + path)}) {
        weft::run_options options;
        options.workers = 3;
        std::atomic<int> served = 0;
        weft::run(
            [&] {
                constexpr int clients = 60;
                auto listeners = acceptor::for_workers(local, 3);
                weft::semaphore ended(0);
                for (std::size_t i = 0; i < 3; ++i)
                    weft::post(i, [&, i] {
                        weft::net::error_code error;
                        for (;;) {
                            tcp_stream stream = listeners[i].accept(error);
                            if (error)
                                break;
                            stream.write_some(boost::asio::buffer("x", 1));
                            ++served;
                        }
                        ended.release();
                    });
                auto const where = listeners.front().local_endpoint();
                for (int i = 0; i < clients; ++i) {
                    tcp_stream stream = tcp_stream::connect(where);
                    char byte = 0;
                    BOOST_TEST(stream.read_some(boost::asio::buffer(&byte, 1)) == 1U);
                }
                for (acceptor& each : listeners)
                    each.stop();
                for (int i = 0; i < 3; ++i)
                    ended.acquire();
                BOOST_TEST(served == clients);
            },
            options);
        BOOST_TEST(::access(path.c_str(), F_OK) == -1);
    }
}

BOOST_AUTO_TEST_CASE(a_dead_servers_unix_path_is_taken_over_but_no_other_file) {
    weft::run([] {
        std::string const path = "weft-test-stale-" + std::to_string(::getpid());
        auto const local = endpoint::parse("unix:" + path);
        {
            support::unique_fd const dead(::socket(AF_UNIX, SOCK_STREAM, 0));
            BOOST_REQUIRE(::bind(dead.get(), local.address(), local.length()) == 0);
        }
        {
            acceptor const alive(local);
            BOOST_CHECK_THROW(acceptor{local}, boost::system::system_error);
        }
        BOOST_TEST(::access(path.c_str(), F_OK) == -1);
        support::unique_fd const file(::open(path.c_str(), O_CREAT | O_WRONLY, 0600));
        BOOST_CHECK_THROW(acceptor{local}, boost::system::system_error);
        BOOST_TEST(::unlink(path.c_str()) == 0);
    });
}

BOOST_AUTO_TEST_CASE(backs_off_when_descriptors_run_out_and_recovers) {
    weft::run([] {
        int shortages = 0;
        weft::net::acceptor_options options;
        options.on_shortage = [&](weft::net::error_code error, std::chrono::milliseconds) {
            BOOST_TEST(error.value() == EMFILE);
            ++shortages;
        };
        acceptor listener(any_port(), options);
        tcp_stream client = tcp_stream::connect(listener.local_endpoint());
        std::vector<support::unique_fd> filler;
        descriptor_limit const limit(static_cast<rlim_t>(client.native_handle()) + 20);
        for (;;) {
            int const fd = ::dup(client.native_handle());
            if (fd < 0)
                break;
            filler.emplace_back(fd);
        }
        bool accepted = false;
        auto server = weft::spawn([&] {
            tcp_stream const stream = listener.accept();
            accepted = stream.is_open();
        });
        weft::this_fiber::sleep_for(50ms);
        BOOST_TEST(!accepted);
        BOOST_TEST(shortages == 1);
        filler.clear();
        server.join();
        BOOST_TEST(accepted);
    });
}
