#include "open_pipes.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <utility>

namespace weft::detail {
namespace {

struct pipe_mode {
    bool reads = false;
    bool close_on_exec = false;
    bool valid = false;
};

// "r" or "w", with "e" before or after it.
pipe_mode parse(char const* mode) noexcept {
    pipe_mode result;
    bool writes = false;
    for (; *mode != '\0'; ++mode) {
        result.reads = result.reads || *mode == 'r';
        writes = writes || *mode == 'w';
        result.close_on_exec = result.close_on_exec || *mode == 'e';
        if (*mode != 'r' && *mode != 'w' && *mode != 'e')
            return {};
    }
    result.valid = result.reads != writes;
    return result;
}

} // namespace

pipe_table& open_pipes() noexcept {
    static auto* const all = new pipe_table; // never destroyed: streams are closed after main(), too
    return *all;
}

int pipe_table::start(char const* command, int child_end, int child_number, int own_end,
                      pid_t& process) noexcept {
    posix_spawn_file_actions_t actions;
    if (int const error = ::posix_spawn_file_actions_init(&actions))
        return error;
    // POSIX: the streams of earlier calls are closed in the new process.
    for (entry const& each : entries_)
        if (int const fd = ::fileno(each.stream); fd >= 0 && fd != child_number)
            ::posix_spawn_file_actions_addclose(&actions, fd);
    ::posix_spawn_file_actions_adddup2(&actions, child_end, child_number);
    if (own_end != child_number)
        ::posix_spawn_file_actions_addclose(&actions, own_end);
    std::array<char*, 5> arguments{const_cast<char*>("sh"), const_cast<char*>("-c"), const_cast<char*>("--"),
                                   const_cast<char*>(command), nullptr};
    int const error = ::posix_spawn(&process, "/bin/sh", &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    return error;
}

FILE* pipe_table::open(char const* command, char const* text) noexcept {
    pipe_mode const mode = parse(text);
    if (!mode.valid) {
        errno = EINVAL;
        return nullptr;
    }
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        return nullptr;
    int const own_end = ends[mode.reads ? 0 : 1];
    int child_end = ends[mode.reads ? 1 : 0];
    int const child_number = mode.reads ? STDOUT_FILENO : STDIN_FILENO;
    FILE* const stream = ::fdopen(own_end, mode.reads ? "r" : "w");
    int error = stream != nullptr ? 0 : errno;
    if (error == 0 && child_end == child_number) {
        // Standard streams were closed before: dup2 onto itself would leave it close-on-exec.
        int const moved = ::fcntl(child_end, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        error = moved < 0 ? errno : 0;
        ::close(std::exchange(child_end, moved));
    }
    if (error == 0) {
        std::scoped_lock const guard(lock_);
        pid_t process = -1;
        try {
            entries_.reserve(entries_.size() + 1);
            error = start(command, child_end, child_number, own_end, process);
        } catch (std::bad_alloc const&) {
            error = ENOMEM;
        }
        if (error == 0)
            entries_.push_back({stream, process});
    }
    if (child_end >= 0)
        ::close(child_end);
    if (error == 0) {
        if (!mode.close_on_exec)
            ::fcntl(own_end, F_SETFD, 0);
        return stream;
    }
    if (stream != nullptr)
        ::fclose(stream);
    else
        ::close(own_end);
    errno = error;
    return nullptr;
}

pid_t pipe_table::forget(FILE* stream) noexcept {
    std::scoped_lock const guard(lock_);
    auto const found = std::find_if(entries_.begin(), entries_.end(),
                                    [stream](entry const& each) { return each.stream == stream; });
    if (found == entries_.end()) {
        errno = EINVAL;
        return -1;
    }
    pid_t const process = found->process;
    entries_.erase(found);
    return process;
}

} // namespace weft::detail
