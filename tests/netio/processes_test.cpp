// Processes and fibers: waiting for children, running commands, and what a fork or vfork leaves of a run.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

#include <weft/clock.hpp>
#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>

#include "support/child.hpp"
#include "support/memory.hpp"
#include "support/options.hpp"
#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;

pid_t start(std::string const& command) {
    pid_t process = -1;
    std::string text = command;
    std::array<char*, 4> arguments{const_cast<char*>("sh"), const_cast<char*>("-c"), text.data(), nullptr};
    BOOST_TEST(::posix_spawn(&process, "/bin/sh", nullptr, nullptr, arguments.data(), environ) == 0);
    return process;
}

} // namespace

BOOST_AUTO_TEST_CASE(many_children_are_waited_for_at_once) {
    weft::run([] {
        auto const begin = weft::clock::now();
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 20; ++i)
            fibers.push_back(weft::spawn([i] {
                pid_t const child = start("sleep 0.2; exit " + std::to_string(i));
                int status = 0;
                BOOST_TEST(::waitpid(child, &status, 0) == child);
                BOOST_TEST(WEXITSTATUS(status) == i);
            }));
        fibers.clear();
        BOOST_TEST((weft::clock::now() - begin < 3s)); // one after the other: 4 s
        BOOST_TEST(::wait(nullptr) == -1);
        BOOST_TEST(errno == ECHILD);
    });
}

BOOST_AUTO_TEST_CASE(any_child_a_group_and_stops_are_waited_for) {
    weft::run([] {
        int beats = 0;
        bool done = false;
        auto heart = weft::spawn([&] {
            while (!done) {
                ++beats;
                ::usleep(1000);
            }
        });
        pid_t const first = start("sleep 0.05; exit 3");
        int status = 0;
        BOOST_TEST(::wait(&status) == first);
        BOOST_TEST(WEXITSTATUS(status) == 3);
        BOOST_TEST(beats > 5);

        pid_t const second = start("sleep 0.02; exit 4");
        BOOST_TEST(::waitpid(0, &status, 0) == second); // our process group
        BOOST_TEST(WEXITSTATUS(status) == 4);

        pid_t const third = start("kill -STOP $$; exit 5");
        BOOST_TEST(::waitpid(third, &status, WUNTRACED) == third);
        BOOST_TEST(WIFSTOPPED(status));
        ::kill(third, SIGCONT);
        siginfo_t info{};
        BOOST_TEST(::waitid(P_PID, static_cast<id_t>(third), &info, WEXITED) == 0);
        BOOST_TEST(info.si_status == 5);
        BOOST_TEST(::waitid(P_PID, static_cast<id_t>(third), &info, WEXITED) == -1);
        BOOST_TEST(errno == ECHILD);
        done = true;
    });
}

BOOST_AUTO_TEST_CASE(commands_run_while_other_fibers_do) {
    weft::run([] {
        auto const begin = weft::clock::now();
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 10; ++i)
            fibers.push_back(weft::spawn([i] {
                std::string const command = "sleep 0.2; exit " + std::to_string(i);
                int const status = ::system(command.c_str());
                BOOST_TEST(WEXITSTATUS(status) == i);
            }));
        fibers.clear();
        BOOST_TEST((weft::clock::now() - begin < 1500ms));
        BOOST_TEST(::system(nullptr) != 0);
        struct sigaction action {};
        ::sigaction(SIGINT, nullptr, &action);
        BOOST_TEST((action.sa_handler == SIG_DFL)); // ignored only meanwhile
    });
}

// Each blocks SIGCHLD while its command runs, and the first one ends first.
BOOST_AUTO_TEST_CASE(overlapping_commands_leave_the_signal_mask_as_it_was) {
    weft::run([] {
        sigset_t mask;
        sigset_t before;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
        auto ends = support::pipe_pair();
        ::fcntl(ends[1].get(), F_SETFD, FD_CLOEXEC);
        std::string const until_told = "exec cat <&" + std::to_string(ends[0].get()) + " >/dev/null";
        auto second = weft::spawn([&] { BOOST_TEST(::system(until_told.c_str()) == 0); });
        auto first = weft::spawn([&] {
            auto third = weft::spawn([] { BOOST_TEST(::system("true") == 0); });
            third.join();
            ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
            BOOST_TEST(sigismember(&mask, SIGCHLD) == 1); // for `second`
            ends[1].reset();
        });
        first.join();
        second.join();
        ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        BOOST_TEST(sigismember(&mask, SIGCHLD) == sigismember(&before, SIGCHLD));
    });
}

BOOST_AUTO_TEST_CASE(a_pipe_to_a_command) {
    for (bool const on_fiber : {true, false}) {
        auto const work = [] {
            FILE* const output = ::popen("echo one; sleep 0.02; exit 6", "r");
            BOOST_REQUIRE(output != nullptr);
            std::array<char, 16> line{};
            BOOST_TEST(std::string(std::fgets(line.data(), line.size(), output)) == "one\n");
            BOOST_TEST(WEXITSTATUS(::pclose(output)) == 6);
            FILE* const input = ::popen("read word; test \"$word\" = hello", "we");
            BOOST_REQUIRE(input != nullptr);
            BOOST_TEST((::fcntl(::fileno(input), F_GETFD) & FD_CLOEXEC) != 0);
            std::fputs("hello\n", input);
            BOOST_TEST(::pclose(input) == 0);
            BOOST_TEST(::popen("true", "x") == nullptr);
            BOOST_TEST(errno == EINVAL);
        };
        if (on_fiber)
            weft::run(work);
        else
            work();
    }
}

// The child has the calling fiber alone: the others, which would answer on the parent's connections, don't run there. What
// it waits for, it waits for by an engine of its own.
BOOST_AUTO_TEST_CASE(a_forked_child_goes_on_with_one_fiber) {
    weft::run(
        [] {
            auto const sockets = support::unix_pair();
            auto const pipes = support::pipe_pair();
            int ticks = 0;
            bool done = false;
            auto ticking = weft::spawn([&] {
                while (!done) {
                    ++ticks;
                    weft::this_fiber::sleep_for(1ms);
                }
            });
            auto waiting = weft::spawn([&] {
                std::array<char, 4> byte{};
                BOOST_TEST(::recv(sockets[0].get(), byte.data(), 4, 0) == 2); // the parent's alone
            });
            weft::this_fiber::yield();
            for (bool const on_main : {true, false}) {
                auto const forks = [&] {
                    pid_t const child = ::fork();
                    if (child == 0) {
                        int const before = ticks;
                        ::usleep(20'000);
                        std::array<char, 4> byte{};
                        auto helper = weft::spawn([&] { ::write(pipes[1].get(), "x", 1); });
                        bool const read = ::read(pipes[0].get(), byte.data(), 1) == 1;
                        ::_exit(read && ticks == before ? 0 : 1);
                    }
                    int status = -1;
                    BOOST_TEST(::waitpid(child, &status, 0) == child);
                    BOOST_TEST(status == 0);
                };
                if (on_main)
                    forks();
                else
                    weft::spawn(forks).join();
            }
            ::send(sockets[1].get(), "ok", 2, 0);
            waiting.join(); // the child's end took nothing from our engine
            done = true;
        },
        support::with_workers(2));
}

// As a process ends with its last thread.
BOOST_AUTO_TEST_CASE(a_forked_child_ends_with_its_fiber) {
    weft::run([] {
        weft::spawn([] {
            pid_t const child = ::fork();
            if (child == 0) {
                ::usleep(1000);
                return;
            }
            int status = -1;
            BOOST_TEST(::waitpid(child, &status, 0) == child);
            BOOST_TEST(WIFEXITED(status));
            BOOST_TEST(WEXITSTATUS(status) == 0);
        }).join();
    });
}

// vfork's child works in our memory. It closes its copies of our descriptors; ours stay as they are.
// Beside others, of which the child has none.
BOOST_AUTO_TEST_CASE(a_forked_child_may_exit_on_any_fiber) {
    for (bool const on_main : {true, false})
        weft::run([on_main] {
            weft::semaphore never(0);
            auto waiting = weft::spawn([&] { never.acquire(); });
            auto sleeping = weft::spawn([] { ::usleep(1000); });
            auto const fork_and_exit = [] {
                pid_t const child = ::fork();
                if (child == 0) {
#if defined(__SANITIZE_ADDRESS__)
                    __lsan_disable(); // what others hold when a process exits is no leak
#endif
                    std::exit(5);
                }
                int status = 0;
                BOOST_TEST(::waitpid(child, &status, 0) == child);
                BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 5));
            };
            weft::this_fiber::yield();
            if (on_main)
                fork_and_exit();
            else
                weft::spawn(fork_and_exit).join();
            never.release();
        });
}

BOOST_AUTO_TEST_CASE(a_vforked_child_leaves_our_descriptors_alone) {
    weft::run([] {
        auto const sockets = support::unix_pair();
        auto waiting = weft::spawn([&] {
            std::array<char, 4> byte{};
            BOOST_TEST(::recv(sockets[0].get(), byte.data(), 4, 0) == 2);
        });
        weft::this_fiber::yield();
        std::array<char*, 2> arguments{const_cast<char*>("true"), nullptr};
        pid_t const child = ::vfork();
        if (child == 0) {
            // NOLINTNEXTLINE(clang-analyzer-unix.Vfork): what programs do all the same
            ::close(sockets[0].get());
            ::close_range(3, ~0U, 0);
            ::execv("/bin/true", arguments.data());
            ::_exit(127);
        }
        int status = -1;
        BOOST_TEST(::waitpid(child, &status, 0) == child);
        BOOST_TEST(status == 0);
        ::send(sockets[1].get(), "ok", 2, 0);
        waiting.join();
    });
}

// Daemons close everything that they don't know of.
BOOST_AUTO_TEST_CASE(wefts_own_descriptors_cannot_be_closed) {
    auto const result = support::in_child([] {
        return weft::run([] {
            ::close_range(3, ~0U, 0);
            ::closefrom(3);
            for (int fd = 3; fd < 1100; ++fd)
                if (::close(fd) != -1 || errno != EBADF)
                    return 2;
            auto const begin = weft::clock::now();
            ::usleep(5000);
            auto const pipes = support::pipe_pair();
            auto writer = weft::spawn([&] { ::write(pipes[1].get(), "x", 1); });
            char byte = 0;
            bool const read = ::read(pipes[0].get(), &byte, 1) == 1;
            return read && pipes[0].get() == 3 && weft::clock::now() - begin >= 5ms ? 0 : 1;
        });
    });
    BOOST_TEST(result.exited(0));
}

// exit() runs its handlers, whichever fiber calls it, while others wait.
BOOST_AUTO_TEST_CASE(any_fiber_may_exit) {
    // LeakSanitizer doesn't look at the stack that another worker's thread has left for its scheduler's.
    std::size_t const several = support::sanitized ? 1 : 2;
    for (bool const on_main : {true, false})
        for (std::size_t const workers : {std::size_t{1}, several}) {
            auto const result = support::in_child([=] {
#if defined(__SANITIZE_ADDRESS__)
                __lsan_disable(); // what others hold when a process exits is no leak
#endif
                std::atexit([] { ::write(STDERR_FILENO, "handled", 7); });
                return weft::run(
                    [=] {
                        weft::semaphore sleeps(0);
                        auto sleeper = weft::spawn([&] {
                            sleeps.release();
                            ::sleep(100);
                        });
                        auto ready = weft::spawn([] {
                            for (;;)
                                weft::this_fiber::yield();
                        });
                        auto exiting = weft::spawn([&] {
                            sleeps.acquire();
                            if (!on_main)
                                std::exit(7);
                            sleeps.release();
                            ::sleep(100);
                        });
                        if (!on_main)
                            sleeper.join();
                        sleeps.acquire();
                        std::exit(7);
                    },
                    support::with_workers(workers));
            });
            BOOST_TEST(result.exited(7));
            BOOST_TEST(result.errors == "handled");
        }
}

namespace {

struct speaks_at_its_end {
    std::string& where;
    char const* words;
    ~speaks_at_its_end() { where += words; }
};

} // namespace

BOOST_AUTO_TEST_CASE(pthread_exit_on_main_ends_the_thread_after_the_other_fibers) {
    for (std::size_t const workers : {1U, 2U}) {
        std::string order;
        auto const run = [&] {
            weft::run(
                [&] {
                    auto other = weft::spawn([&] {
                        ::usleep(1000);
                        order += "other,";
                    });
                    other.detach();
                    speaks_at_its_end const local{order, "main,"};
                    ::pthread_exit(&order);
                },
                support::with_workers(workers));
        };
        pthread_t thread{};
        auto const call = [](void* function) -> void* {
            (*static_cast<decltype(run)*>(function))();
            return nullptr;
        };
        BOOST_TEST(
            ::pthread_create(&thread, nullptr, call, const_cast<void*>(static_cast<void const*>(&run))) == 0);
        void* result = nullptr;
        BOOST_TEST(::pthread_join(thread, &result) == 0);
        BOOST_TEST(result == &order);
        BOOST_TEST(order == "main,other,");
    }
}

BOOST_AUTO_TEST_CASE(pthread_exit_ends_one_fiber) {
    weft::run([] {
        bool unwound = false;
        struct sets {
            bool& what;
            ~sets() { what = true; }
        };
        auto without_result = weft::spawn([&] {
            sets const local{unwound};
            ::pthread_exit(nullptr);
        });
        without_result.get();
        BOOST_TEST(unwound);
        auto with_result = weft::spawn([]() -> int { ::thrd_exit(3); });
        BOOST_CHECK_THROW(with_result.get(), std::runtime_error);
    });
}
