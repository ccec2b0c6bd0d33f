// Patched calls in a cancelled scope: -1 with ECANCELED, every time, until the scope is left; and nothing is lost.
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/detail/helper_thread.hpp>
#include <weft/fiber.hpp>
#include <weft/net/acceptor.hpp>
#include <weft/net/tcp_stream.hpp>
#include <weft/patch.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;

struct named_call {
    char const* name;
    std::function<long()> call;
};

// Each as it is cancelled while it waits, as its deadline comes, and in a scope that is cancelled before.
void expect_cancelled(named_call const& one) {
    BOOST_TEST_CONTEXT(one.name) {
        {
            weft::cancel_scope scope;
            auto canceller = weft::spawn([&] { scope.cancel(); }); // runs when the caller waits
            BOOST_TEST(one.call() == -1);
            BOOST_TEST(errno == ECANCELED);
            BOOST_TEST(one.call() == -1);
            BOOST_TEST(errno == ECANCELED);
        }
        weft::cancel_scope scope(2ms);
        BOOST_TEST(one.call() == -1);
        BOOST_TEST(errno == ECANCELED);
        BOOST_TEST(scope.cancel_called());
    }
}

} // namespace

BOOST_AUTO_TEST_CASE(every_call_that_waits_is_cancelled) {
    weft::run([] {
        weft::patch({.files = true});
        auto const tcp = support::tcp_pair();
        auto const pipe = support::pipe_pair();
        auto const other_pipe = support::pipe_pair();
        support::listener const listener;
        std::array<char, 16> buffer{};
        iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        mmsghdr messages{.msg_hdr = message, .msg_len = 0};
        std::string const much(20'000'000, 'm');
        support::unique_fd const epoll(::epoll_create1(0));
        epoll_event event{};
        sem_t semaphore;
        ::sem_init(&semaphore, 0, 0);
        pid_t const child = ::fork();
        if (child == 0) {
            ::pause();
            ::_exit(0);
        }
        sigset_t signals;
        ::sigemptyset(&signals);
        ::sigaddset(&signals, SIGUSR2);
        ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
        std::string path = "/tmp/weft-test-XXXXXX";
        support::unique_fd const file(::mkstemp(path.data()));
        support::unique_fd const locked(::open(path.c_str(), O_RDWR));
        ::flock(locked.get(), LOCK_EX);
        std::string const fifo = path + ".fifo";
        ::mkfifo(fifo.c_str(), 0600);
        int const queue = ::msgget(IPC_PRIVATE, 0600);
        int const set = ::semget(IPC_PRIVATE, 1, 0600);
        std::vector<named_call> const calls{
            {"recv", [&] { return ::recv(tcp[0].get(), buffer.data(), 16, 0); }},
            {"recv, all", [&] { return ::recv(tcp[0].get(), buffer.data(), 16, MSG_WAITALL); }},
            {"recvmsg", [&] { return ::recvmsg(tcp[0].get(), &message, 0); }},
            {"recvmmsg", [&] { return ::recvmmsg(tcp[0].get(), &messages, 1, 0, nullptr); }},
            {"read", [&] { return ::read(pipe[0].get(), buffer.data(), 16); }},
            {"readv", [&] { return ::readv(pipe[0].get(), &part, 1); }},
            {"accept", [&] { return ::accept(listener.fd.get(), nullptr, nullptr); }},
            {"splice", [&] { return ::splice(pipe[0].get(), nullptr, tcp[0].get(), nullptr, 16, 0); }},
            {"tee", [&] { return ::tee(pipe[0].get(), other_pipe[1].get(), 16, 0); }},
            {"poll",
             [&] {
                 pollfd one{.fd = pipe[0].get(), .events = POLLIN, .revents = 0};
                 return ::poll(&one, 1, -1);
             }},
            {"select",
             [&] {
                 fd_set reading;
                 FD_ZERO(&reading);
                 FD_SET(pipe[0].get(), &reading);
                 return ::select(pipe[0].get() + 1, &reading, nullptr, nullptr, nullptr);
             }},
            {"epoll_wait", [&] { return ::epoll_wait(epoll.get(), &event, 1, -1); }},
            {"usleep", [] { return ::usleep(900'000); }},
            {"pause", [] { return ::pause(); }},
            {"sigwaitinfo", [&] { return ::sigwaitinfo(&signals, nullptr); }},
            {"sem_wait", [&] { return ::sem_wait(&semaphore); }},
            {"waitpid", [&] { return ::waitpid(child, nullptr, 0); }},
            {"wait", [&] { return ::waitpid(-1, nullptr, WUNTRACED); }},
            {"flock", [&] { return ::flock(file.get(), LOCK_EX); }},
            {"open", [&] { return ::open(fifo.c_str(), O_RDONLY); }},
            {"msgrcv", [&] { return ::msgrcv(queue, buffer.data(), 8, 1, 0); }},
            {"semop",
             [&] {
                 sembuf take{.sem_num = 0, .sem_op = -1, .sem_flg = 0};
                 return ::semop(set, &take, 1);
             }},
            {"system", [] { return ::system("exec sleep 100"); }},
        };
        std::size_t const helpers = weft::detail::helper_count();
        weft::move_on_after(1ms, [&] { ::flock(file.get(), LOCK_EX); });
        BOOST_TEST(weft::detail::helper_count() == helpers); // its thread has ended
        for (named_call const& each : calls)
            expect_cancelled(each);
        // What waits for room has sent a part before it is cancelled; then it is.
        weft::move_on_after(5ms, [&] {
            BOOST_TEST(::send(tcp[0].get(), much.data(), much.size(), 0) > 0);
            BOOST_TEST(::send(tcp[0].get(), much.data(), much.size(), 0) == -1);
            BOOST_TEST(errno == ECANCELED);
        });
        // Nothing of it is left.
        ::write(pipe[1].get(), "still", 5);
        BOOST_TEST(::read(pipe[0].get(), buffer.data(), 16) == 5);
        ::send(tcp[1].get(), "here", 4, 0);
        BOOST_TEST(::recv(tcp[0].get(), buffer.data(), 16, 0) == 4);
        ::kill(child, SIGKILL);
        BOOST_TEST(::wait(nullptr) == child);
        BOOST_TEST(::flock(locked.get(), LOCK_UN) == 0);
        BOOST_TEST(::flock(file.get(), LOCK_EX | LOCK_NB) == 0);
        ::msgctl(queue, IPC_RMID, nullptr);
        ::semctl(set, 0, IPC_RMID);
        ::unlink(fifo.c_str());
        ::unlink(path.c_str());
        ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
        weft::patch();
    });
}

// Locks are what code around relies on: they are waited for.
BOOST_AUTO_TEST_CASE(locks_are_not_cancelled) {
    weft::run([] {
        pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
        ::pthread_mutex_lock(&mutex);
        auto other = weft::spawn([&] {
            weft::cancel_scope scope;
            scope.cancel();
            BOOST_TEST(::pthread_mutex_lock(&mutex) == 0);
            BOOST_TEST(::pthread_mutex_unlock(&mutex) == 0);
        });
        weft::this_fiber::yield();
        ::pthread_mutex_unlock(&mutex);
    });
}

BOOST_AUTO_TEST_CASE(streams_throw) {
    weft::run([] {
        weft::net::acceptor listener(weft::net::endpoint::parse("127.0.0.1:0"));
        auto stream = weft::net::tcp_stream::connect(listener.local_endpoint());
        auto const peer = listener.accept();
        std::array<char, 4> buffer{};
        bool thrown = false;
        BOOST_TEST(!weft::move_on_after(2ms, [&] {
            try {
                stream.read_some(boost::asio::buffer(buffer));
            } catch (weft::cancelled const&) {
                thrown = true;
                throw;
            }
        }));
        BOOST_TEST(thrown);
        BOOST_TEST(!weft::move_on_after(2ms, [&] { listener.accept(); }));
    });
}

// Nothing is thrown through them, so the scope itself remembers that they failed.
BOOST_AUTO_TEST_CASE(a_scope_tells_that_patched_calls_in_it_failed) {
    weft::run([] {
        auto const ends = support::unix_pair();
        char byte = 0;
        auto const receive = [&] { static_cast<void>(::recv(ends[0].get(), &byte, 1, 0)); };
        BOOST_TEST(!weft::move_on_after(1ms, receive));
        BOOST_CHECK_EXCEPTION(weft::fail_after(1ms, receive), std::system_error,
                              [](auto const& error) { return error.code() == std::errc::timed_out; });
        BOOST_TEST(::send(ends[1].get(), "x", 1, 0) == 1);
        BOOST_TEST(weft::move_on_after(100s, receive));
        weft::cancel_scope outer;
        outer.cancel();
        BOOST_TEST(
            !outer.run([&] { BOOST_TEST(weft::move_on_after(100s, receive)); })); // the outer one's doing
    });
}
