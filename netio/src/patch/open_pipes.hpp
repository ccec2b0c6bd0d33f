// open_pipes: popen(3), with the processes behind the streams, which pclose(3) waits for. libc's own popen keeps them to
// itself, and its pclose waits in the kernel.
//
// Threads: any.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <mutex>
#include <vector>

#include <weft/detail/spinlock.hpp>

namespace weft::detail {

class pipe_table {
public:
    // popen(3). Null with errno.
    FILE* open(char const* command, char const* mode) noexcept;

    // The stream's process, which is no longer known; -1 with EINVAL if the stream is none of these.
    pid_t forget(FILE* stream) noexcept;

private:
    struct entry {
        FILE* stream;
        pid_t process;
    };

    int start(char const* command, int child_end, int child_number, int own_end, pid_t& process) noexcept;

    spinlock lock_;
    std::vector<entry> entries_;
};

pipe_table& open_pipes() noexcept;

} // namespace weft::detail
