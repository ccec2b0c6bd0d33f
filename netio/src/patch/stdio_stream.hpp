// stdio_stream: streams of stdio whose descriptor a fiber must wait for, before libc reads or writes it inside by names that nobody
// can replace.
//
// Before libc is let at a stream, the patched functions see to it that what it will read or write can't block. They look at the
// buffers, as the inline functions of libc's headers do (struct _IO_FILE is part of its ABI); what is in a buffer waits for nothing.
//
// Left to libc: wide streams, whose buffers can't be seen; streams without a descriptor; files on a disk.
#pragma once

#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>

namespace weft::detail {

// The descriptor, if a fiber must wait for it; else -1. `stream` as a program gives it: a bad one crashes, as in libc.
inline int waiting_descriptor(FILE* stream) noexcept {
    int const error = errno;
    int fd = stream->_mode <= 0 ? ::fileno_unlocked(stream) : -1;
    struct stat status {};
    if (fd >= 0 && (::fstat(fd, &status) != 0 || S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) ||
                    S_ISBLK(status.st_mode)))
        fd = -1;
    errno = error;
    return fd;
}

inline void set_failed(FILE* stream) noexcept { stream->_flags |= _IO_ERR_SEEN; }

// libc's lock of a stream, for a few instructions and without a wait in between.
class stream_lock {
public:
    explicit stream_lock(FILE* stream) noexcept : stream_(stream) { ::flockfile(stream); }
    stream_lock(stream_lock const&) = delete;
    stream_lock& operator=(stream_lock const&) = delete;
    ~stream_lock() { ::funlockfile(stream_); }

private:
    FILE* stream_;
};

// Writes what is buffered, waiting on a fiber. False, with the stream's error set, if that failed.
bool flush_stream(FILE* stream) noexcept;

} // namespace weft::detail
