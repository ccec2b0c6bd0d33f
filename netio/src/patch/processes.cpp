// The patched calls that wait for other processes.
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include <weft/detail/spinlock.hpp>

#include "../child_wait.hpp"
#include "../sys.hpp"
#include "libc_function.hpp"
#include "on_fiber.hpp"
#include "open_pipes.hpp"
#include "signal_mask.hpp"

using weft::detail::libc_function;
using weft::detail::on_fiber;
using weft::detail::open_pipes;
using weft::detail::scoped_signal_mask;
using weft::detail::wait_for_child;
namespace sys = weft::detail::sys;

namespace {

constexpr libc_function<"wait4", pid_t(pid_t, int*, int, rusage*)> libc_wait4;
constexpr libc_function<"waitid", int(idtype_t, id_t, siginfo_t*, int)> libc_waitid;
constexpr libc_function<"system", int(char const*)> libc_system;

// wait4(2)'s way to name children, in waitid(2)'s.
struct children {
    idtype_t type;
    id_t id;
};

children children_of(pid_t which) noexcept {
    if (which > 0)
        return {P_PID, static_cast<id_t>(which)};
    if (which == -1)
        return {P_ALL, 0};
    return {P_PGID, which == 0 ? 0 : static_cast<id_t>(-which)};
}

pid_t wait_on_fiber(pid_t which, int* status, int options, rusage* usage) noexcept {
    constexpr int known =
        static_cast<int>(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WALL | __WCLONE);
    for (;;) {
        pid_t const found = sys::wait_process(which, status, options | WNOHANG, usage);
        if (found != 0 || (options & (WNOHANG | ~known)) != 0)
            return found;
        auto const [type, id] = children_of(which);
        // WUNTRACED is WSTOPPED
        if (!wait_for_child(type, id, WEXITED | (options & ~WNOHANG)))
            return -1;
    }
}

pid_t wait_process(pid_t which, int* status, int options, rusage* usage) noexcept {
    return on_fiber() ? wait_on_fiber(which, status, options, usage)
                      : libc_wait4(which, status, options, usage);
}

// While commands run, SIGINT and SIGQUIT are theirs alone: system(3).
class ignored_keys {
public:
    void begin() noexcept {
        std::scoped_lock const guard(lock_);
        if (users_++ > 0)
            return;
        struct sigaction ignore {};
        ignore.sa_handler = SIG_IGN;
        ::sigaction(SIGINT, &ignore, &interrupt_);
        ::sigaction(SIGQUIT, &ignore, &quit_);
    }
    void end() noexcept {
        std::scoped_lock const guard(lock_);
        if (--users_ > 0)
            return;
        ::sigaction(SIGINT, &interrupt_, nullptr);
        ::sigaction(SIGQUIT, &quit_, nullptr);
    }

    // The signals that the command must find as they were.
    void add_defaults(sigset_t& defaults) const noexcept {
        if (interrupt_.sa_handler != SIG_IGN)
            sigaddset(&defaults, SIGINT);
        if (quit_.sa_handler != SIG_IGN)
            sigaddset(&defaults, SIGQUIT);
    }

private:
    weft::detail::spinlock lock_;
    unsigned users_ = 0;
    struct sigaction interrupt_ {};
    struct sigaction quit_ {};
};

ignored_keys keys;

int start_command(char const* command, sigset_t const& mask, pid_t& process) noexcept {
    posix_spawnattr_t attributes;
    if (int const error = ::posix_spawnattr_init(&attributes))
        return error;
    sigset_t defaults;
    sigemptyset(&defaults);
    keys.add_defaults(defaults);
    ::posix_spawnattr_setsigmask(&attributes, &mask);
    ::posix_spawnattr_setsigdefault(&attributes, &defaults);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    std::array<char*, 5> arguments{const_cast<char*>("sh"), const_cast<char*>("-c"), const_cast<char*>("--"),
                                   const_cast<char*>(command), nullptr};
    int const error = ::posix_spawn(&process, "/bin/sh", nullptr, &attributes, arguments.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    return error;
}

// Until the child has ended, whatever handlers run.
int wait_to_the_end(pid_t process) noexcept {
    int status = -1;
    while (wait_process(process, &status, 0, nullptr) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

int run_command(char const* command) noexcept {
    sigset_t const mask = weft::detail::program_signal_mask();
    sigset_t without_child_signal = mask;
    sigaddset(&without_child_signal, SIGCHLD);
    constexpr int no_shell = 127 << 8; // as if the shell had said exit 127
    pid_t process = -1;
    int status = no_shell;
    keys.begin();
    int error = 0;
    {
        scoped_signal_mask const scope(&without_child_signal);
        error = start_command(command, mask, process);
        if (error == 0)
            status = wait_to_the_end(process);
        if (error == 0 && status < 0 && errno == ECANCELED) {
            // As libc does it for a thread that is cancelled: nothing of the command is left.
            ::kill(process, SIGKILL);
            sys::wait_process(process, nullptr, 0, nullptr);
            error = ECANCELED;
        }
    }
    keys.end();
    if (error != 0)
        errno = error;
    return status;
}

} // namespace

extern "C" {

pid_t wait4(pid_t which, int* status, int options, rusage* usage) noexcept {
    return wait_process(which, status, options, usage);
}
pid_t wait3(int* status, int options, rusage* usage) noexcept {
    return wait_process(-1, status, options, usage);
}
pid_t waitpid(pid_t which, int* status, int options) { return wait_process(which, status, options, nullptr); }
pid_t wait(int* status) { return wait_process(-1, status, 0, nullptr); }

int waitid(idtype_t type, id_t id, siginfo_t* info, int options) {
    if ((options & WNOHANG) != 0 || !on_fiber())
        return libc_waitid(type, id, info, options);
    siginfo_t own{};
    siginfo_t* const found = info != nullptr ? info : &own;
    for (;;) {
        // A bad pointer is EFAULT only when there is something to say: as it would be after the wait.
        own.si_pid = 0;
        int const result = sys::wait_id(type, id, &own, options | WNOHANG | WNOWAIT, nullptr);
        if (result < 0)
            return result;
        if (own.si_pid != 0)
            return sys::wait_id(type, id, found, options | WNOHANG, nullptr);
        if (!wait_for_child(type, id, options))
            return -1;
    }
}

int system(char const* command) {
    if (command == nullptr || !on_fiber())
        return libc_system(command);
    return run_command(command);
}

FILE* popen(char const* command, char const* mode) { return open_pipes().open(command, mode); }

int pclose(FILE* stream) {
    pid_t const process = open_pipes().forget(stream);
    if (process < 0)
        return -1;
    ::fclose(stream);
    return wait_to_the_end(process);
}

// NOLINTNEXTLINE(readability-identifier-naming): libc's name
FILE* _IO_popen(char const* command, char const* mode) { return popen(command, mode); }
pid_t __waitpid(pid_t which, int* status, int options) {
    return wait_process(which, status, options, nullptr);
}
pid_t __wait(int* status) { return wait_process(-1, status, 0, nullptr); }

} // extern "C"
