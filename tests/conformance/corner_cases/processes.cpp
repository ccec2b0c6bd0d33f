// Children: waiting for them in every way, running commands, and what a child of fork and vfork can do.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "corner_case.hpp"
#include "endpoints.hpp"
#include "other_side.hpp"

using namespace corner;

namespace {

std::array<char, 64> buffer{};

pid_t child_that_exits(int code) {
    pid_t const child = fork();
    if (child == 0)
        _exit(code);
    return child;
}

// Ends when it can read a byte or the end of `fd`.
pid_t child_that_waits_for(two_ends const& ends, int code) {
    pid_t const child = fork();
    if (child == 0) {
        syscall(SYS_close, ends.second);
        syscall(SYS_read, ends.first, buffer.data(), 1L);
        _exit(code);
    }
    return child;
}

void tell_status(char const* what, int status) {
    if (WIFEXITED(status))
        say("%s: exited with %d", what, WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        say("%s: killed by %d", what, WTERMSIG(status));
    else if (WIFSTOPPED(status))
        say("%s: stopped by %d", what, WSTOPSIG(status));
    else
        say("%s: %s", what, WIFCONTINUED(status) ? "continued" : "something else");
}

} // namespace

CORNER_CASE(waiting_for_a_child, .parks = 3) {
    for (int round = 0; round < 3; ++round) {
        auto const ends = make_pipe();
        pid_t const child = child_that_waits_for(ends, 7 + round);
        other_side const releaser([ends] {
            until_case_waits();
            syscall(SYS_close, ends.second);
        });
        int status = 0;
        rusage usage{};
        about_to_wait();
        if (round == 0)
            TELL(wait(&status) == child);
        else if (round == 1)
            TELL(waitpid(child, &status, 0) == child);
        else
            TELL(wait4(0, &status, 0, &usage) == child);
        tell_status("status", status);
    }
    int status = 0;
    TELL(wait(&status));
    TELL(waitpid(-1, nullptr, WNOHANG));
    TELL(waitpid(getpid(), nullptr, 0));
    TELL(waitpid(1, nullptr, 0));
    TELL(waitpid(INT_MIN, nullptr, 0));
    TELL(waitpid(-4711, nullptr, 0));
    TELL(waitpid(0x3fff'ffff, nullptr, 0));
    TELL(waitpid(-1, nullptr, 0x77));
    TELL(waitpid(-1, nullptr, static_cast<int>(__WCLONE)));
}

CORNER_CASE(one_that_has_ended_already) {
    pid_t const child = child_that_exits(3);
    siginfo_t info{};
    TELL(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT));
    TELL(info.si_pid == child);
    TELL(info.si_code == CLD_EXITED);
    TELL(info.si_status);
    info = {};
    TELL(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG));
    TELL(info.si_pid == child);
    TELL(waitpid(child, nullptr, WNOHANG) == child);
    TELL(waitpid(child, nullptr, WNOHANG));
    TELL(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED));
}

CORNER_CASE(bad_ways_to_wait) {
    auto const ends = make_pipe();
    pid_t const child = child_that_waits_for(ends, 0);
    siginfo_t info{};
    info.si_pid = 77;
    TELL(waitid(P_ALL, 0, &info, 0));
    TELL(waitid(P_ALL, 0, &info, WEXITED | 0x40));
    int volatile const no_type = 5;
    TELL(waitid(static_cast<idtype_t>(no_type), 0, &info, WEXITED));
    TELL(waitid(P_PID, 0, &info, WEXITED));
    TELL(waitid(P_PID, static_cast<id_t>(-5), &info, WEXITED));
    TELL(waitid(P_PGID, static_cast<id_t>(-5), &info, WEXITED));
    TELL(waitid(P_PIDFD, 4711, &info, WEXITED));
    TELL(waitid(P_PIDFD, static_cast<id_t>(ends.second), &info, WEXITED));
    TELL(waitid(P_ALL, 0, &info, WEXITED | WNOHANG));
    TELL(info.si_pid);
    TELL(waitid(P_PID, static_cast<id_t>(child), nullptr, WEXITED | WNOHANG));
    TELL(waitpid(child, nullptr, WNOHANG));
    close(ends.second);
    TELL(waitid(P_PID, static_cast<id_t>(child), nullptr, WEXITED));
}

CORNER_CASE(stops_and_continuations, .parks = 3) {
    auto const ends = make_pipe();
    pid_t const child = child_that_waits_for(ends, 5);
    other_side const controller([child] {
        for (int const signal : {SIGSTOP, SIGCONT, SIGKILL}) {
            until_case_waits();
            kill(child, signal);
        }
    });
    int status = 0;
    about_to_wait();
    TELL(waitpid(child, &status, WUNTRACED) == child);
    tell_status("status", status);
    about_to_wait();
    TELL(waitpid(-1, &status, WCONTINUED) == child);
    tell_status("status", status);
    siginfo_t info{};
    about_to_wait();
    TELL(waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED));
    say("code %d, status %d", info.si_code, info.si_status);
}

CORNER_CASE(a_descriptor_of_a_process, .parks = 2) {
    auto const ends = make_pipe();
    pid_t const child = child_that_waits_for(ends, 5);
    int const pidfd = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
    other_side const releaser([ends] {
        until_case_waits();
        syscall(SYS_close, ends.second);
    });
    pollfd ended{.fd = pidfd, .events = POLLIN, .revents = 0};
    about_to_wait();
    TELL(poll(&ended, 1, -1));
    siginfo_t info{};
    TELL(waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED));
    TELL(info.si_status);
    TELL(waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED));
    TELL(read(pidfd, buffer.data(), 8));
    auto const more = make_pipe();
    pid_t const other = child_that_waits_for(more, 6);
    int const again = static_cast<int>(syscall(SYS_pidfd_open, other, 0));
    other_side const second([more] {
        until_case_waits();
        syscall(SYS_close, more.second);
    });
    about_to_wait();
    TELL(waitid(P_PIDFD, static_cast<id_t>(again), &info, WEXITED));
    TELL(info.si_status);
    auto const last = make_pipe();
    pid_t const third = child_that_waits_for(last, 6);
    int const impatient = static_cast<int>(syscall(SYS_pidfd_open, third, O_NONBLOCK));
    TELL(waitid(P_PIDFD, static_cast<id_t>(impatient), &info, WEXITED));
    close(last.second);
}

CORNER_CASE(a_group_of_processes, .parks = 1) {
    auto const ends = make_pipe();
    pid_t const child = child_that_waits_for(ends, 5);
    REQUIRE(setpgid(child, child) == 0);
    TELL(waitpid(0, nullptr, 0));
    TELL(waitpid(-child, nullptr, WNOHANG));
    other_side const releaser([ends] {
        until_case_waits();
        syscall(SYS_close, ends.second);
    });
    about_to_wait();
    TELL(waitpid(-child, nullptr, 0) == child);
}

CORNER_CASE(nobody_is_told_of_children) {
    signal(SIGCHLD, SIG_IGN);
    pid_t const child = child_that_exits(3);
    TELL(waitpid(child, nullptr, 0));
    child_that_exits(4);
    TELL(wait(nullptr));
}

CORNER_CASE(commands, .parks = 1) {
    TELL(system(nullptr));
    tell_status("exit 3", system("sleep 0.05; exit 3")); // what ends at once need not be waited for
    tell_status("no such command", system("/no/such/command 2>/dev/null"));
    tell_status("killed", system("kill -9 $$"));
    tell_status("nothing", system(""));
    signal(SIGCHLD, SIG_IGN);
    TELL(system("exit 3"));
}

CORNER_CASE(commands_and_signals) {
    signal(SIGINT, SIG_IGN);
    tell_status("an ignored signal", system("kill -INT $$; exit 4"));
    signal(SIGINT, SIG_DFL);
    tell_status("a default signal", system("kill -INT $$; exit 4"));
    struct sigaction action {};
    TELL(sigaction(SIGINT, nullptr, &action));
    TELL(action.sa_handler == SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    tell_status("a blocked signal", system("grep -q '^SigBlk:.*0000200$' /proc/self/status"));
    TELL(sigprocmask(SIG_BLOCK, nullptr, &set));
    TELL(sigismember(&set, SIGCHLD));
}

CORNER_CASE(streams_of_commands, .parks = 1) {
    FILE* stream = popen("echo words; sleep 0.05; exit 3", "r");
    std::array<char, 64> line{};
    TELL(std::fgets(line.data(), line.size(), stream) != nullptr);
    say("%.5s", line.data());
    TELL(fcntl(fileno(stream), F_GETFD));
    tell_status("pclose", pclose(stream));
    auto const [reader, writer] = make_pipe();
    stream = popen(("cat >&" + std::to_string(writer) + "; exit 4").c_str(), "we");
    TELL(fcntl(fileno(stream), F_GETFD));
    TELL(std::fputs("text", stream) >= 0);
    tell_status("pclose", pclose(stream));
    TELL(read(reader, buffer.data(), 64));
    TELL(popen("true", "rw"));
    TELL(popen("true", ""));
    TELL(popen("true", "x"));
    TELL(popen("true", "rr") != nullptr);
    stream = popen("/no/such/command 2>/dev/null", "r");
    tell_status("pclose", pclose(stream));
    stream = popen("exit 5", "r");
    int status = 0;
    while (waitpid(-1, &status, 0) > 0)
        continue;
    TELL(pclose(stream));
}

CORNER_CASE(spawned_programs, .parks = 1) {
    pid_t child = -1;
    std::array<char*, 4> arguments{const_cast<char*>("sh"), const_cast<char*>("-c"),
                                   const_cast<char*>("sleep 0.05; exit 6"), nullptr};
    TELL_CODE(posix_spawn(&child, "/bin/sh", nullptr, nullptr, arguments.data(), environ));
    int status = 0;
    TELL(waitpid(child, &status, 0) == child);
    tell_status("status", status);
    TELL_CODE(posix_spawn(&child, "/no/such/program", nullptr, nullptr, arguments.data(), environ));
    TELL_CODE(posix_spawnp(&child, "no-such-program", nullptr, nullptr, arguments.data(), environ));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    TELL_CODE(posix_spawn_file_actions_addclose(&actions, 4711));
    TELL_CODE(posix_spawn(&child, "/bin/sh", &actions, nullptr, arguments.data(), environ));
    TELL(wait(&status) == child);
}

// The child goes on with descriptors and a clock of its own.
CORNER_CASE(what_a_child_can_do, .parks = 2) {
    auto const [one, other] = make_unix_pair();
    auto const [reader, writer] = make_pipe();
    TELL(usleep(1000));
    pid_t const child = fork();
    if (child == 0) {
        TELL(usleep(1000));
        TELL(send(other, "from the child", 14, 0));
        char byte = 0;
        TELL(recv(other, &byte, 1, 0));
        pollfd wanted{.fd = reader, .events = POLLIN, .revents = 0};
        TELL(poll(&wanted, 1, 10));
        pid_t const grandchild = child_that_exits(9);
        int status = 0;
        TELL(waitpid(grandchild, &status, 0) == grandchild);
        tell_status("grandchild", status);
        TELL(system("exit 2") >> 8);
        std::fflush(stdout);
        _exit(8);
    }
    // Nothing is said while the child speaks.
    ssize_t const got = read(one, buffer.data(), 64);
    int const slept = usleep(1000);
    put(one, "x");
    int status = 0;
    bool const ended = waitpid(child, &status, 0) == child;
    TELL_FACT(got == 14 && slept == 0 && ended);
    tell_status("child", status);
    TELL(usleep(1000));
}

CORNER_CASE(children_that_borrow_memory, .parks = 1) {
    auto const [reader, writer] = make_pipe();
    int const before = open("/dev/null", O_RDONLY);
    close(before);
    pid_t child = vfork();
    if (child == 0) {
        close(reader); // NOLINT(clang-analyzer-unix.Vfork): what many programs do
        close(writer);
        _exit(3);
    }
    int status = 0;
    TELL(waitpid(child, &status, 0) == child);
    tell_status("status", status);
    other_side const feeder([to = writer] {
        until_case_waits();
        put(to, "abc");
    });
    about_to_wait();
    TELL(read(reader, buffer.data(), 8));
    child = vfork();
    if (child == 0) {
        dup2(writer, 1); // NOLINT(clang-analyzer-unix.Vfork): the same
        execl("/bin/echo", "echo", "words", nullptr);
        _exit(127);
    }
    TELL(read(reader, buffer.data(), 64));
    TELL(waitpid(child, &status, 0) == child);
    child = vfork();
    if (child == 0) {
        execl("/no/such/program", "x", nullptr);
        _exit(127);
    }
    TELL(waitpid(child, &status, 0) == child);
    tell_status("status", status);
}

CORNER_CASE(both_read_from_one_pipe, .parks = 1) {
    auto const [reader, writer] = make_pipe();
    auto const [answers, to_parent] = make_pipe();
    pid_t const child = fork();
    if (child == 0) {
        char byte = 0;
        while (read(reader, &byte, 1) == 1)
            put(to_parent, std::string(1, byte));
        _exit(0);
    }
    other_side const feeder([to = writer] {
        until_case_waits();
        put(to, "ab");
        until_case_waits();
        close(to);
    });
    // The child alone reads now.
    close(reader);
    close(to_parent);
    char bytes[2] = {};
    about_to_wait();
    TELL(read(answers, bytes, 1));
    TELL(read(answers, bytes + 1, 1));
    say("%.2s", bytes);
    about_to_wait();
    int status = 0;
    // The child has the write end, too: it doesn't see the end of the stream.
    TELL(waitpid(child, &status, WNOHANG));
    pollfd nothing{.fd = answers, .events = POLLIN, .revents = 0};
    TELL(poll(&nothing, 1, 20));
    kill(child, SIGKILL);
    TELL(waitpid(child, &status, 0) == child);
    tell_status("status", status);
}

// A flag that one process sets on what both have, the other finds.
CORNER_CASE(nonblocking_by_a_child) {
    auto const [one, other] = make_tcp_pair();
    put(other, "abc");
    TELL(recv(one, buffer.data(), 8, 0));
    pid_t const child = fork();
    if (child == 0) {
        set_nonblocking(one, true);
        _exit(0);
    }
    TELL(waitpid(child, nullptr, 0) == child);
    TELL(recv(one, buffer.data(), 8, 0));
    TELL(read(one, buffer.data(), 8));
}

CORNER_CASE(exit_handlers) {
    std::fflush(stdout);
    pid_t const child = fork();
    if (child == 0) {
        std::atexit([] { say("at exit"); });
        std::exit(11);
    }
    int status = 0;
    TELL(waitpid(child, &status, 0) == child);
    tell_status("status", status);
}
