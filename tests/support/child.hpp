// Runs a function in a child process, for what ends a process or must not touch this one.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

namespace support {

struct child_result {
    int status = 0; // as waitpid() gives it
    std::string errors;

    [[nodiscard]] bool exited(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
    [[nodiscard]] bool killed_by(int signal) const {
        return WIFSIGNALED(status) && WTERMSIG(status) == signal;
    }
};

// `function` returns the exit code. What it writes on stderr is collected.
template <class Function> child_result in_child(Function function) {
    std::array<int, 2> pipe_ends{};
    if (::pipe(pipe_ends.data()) != 0)
        std::abort();
    pid_t const child = ::fork();
    if (child == 0) {
        ::dup2(pipe_ends[1], STDERR_FILENO);
        ::close(pipe_ends[0]);
        ::close(pipe_ends[1]);
        ::_exit(function());
    }
    ::close(pipe_ends[1]);
    child_result result;
    std::array<char, 1024> buffer{};
    ssize_t count = 0;
    while ((count = ::read(pipe_ends[0], buffer.data(), buffer.size())) > 0)
        result.errors.append(buffer.data(), static_cast<std::size_t>(count));
    ::close(pipe_ends[0]);
    ::waitpid(child, &result.status, 0);
    return result;
}

} // namespace support
