// The patched calls that read and write descriptors of any kind, and those that open, duplicate, change and close them.
//
// Opening and closing are noted from every thread, worker or not: a number that another thread closes and opens again
// must not be taken for what it was.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>

#include <weft/detail/offload.hpp>

#include "../descriptor.hpp"
#include "../disk.hpp"
#include "../io.hpp"
#include "../io_call.hpp"
#include "libc_function.hpp"
#include "on_fiber.hpp"
#include "stdio_stream.hpp"
#include "vfork.hpp"

using weft::detail::descriptor;
using weft::detail::in_vfork_child;
using weft::detail::libc_function;
using weft::detail::on_fiber;
namespace io = weft::detail::io;

namespace {

constexpr libc_function<"read", ssize_t(int, void*, size_t)> libc_read;
constexpr libc_function<"readv", ssize_t(int, iovec const*, int)> libc_readv;
constexpr libc_function<"write", ssize_t(int, void const*, size_t)> libc_write;
constexpr libc_function<"writev", ssize_t(int, iovec const*, int)> libc_writev;
constexpr libc_function<"close", int(int)> libc_close;
constexpr libc_function<"close_range", int(unsigned, unsigned, int)> libc_close_range;
constexpr libc_function<"closefrom", void(int)> libc_closefrom;
constexpr libc_function<"fclose", int(FILE*)> libc_fclose;
constexpr libc_function<"pipe2", int(int*, int)> libc_pipe2;
constexpr libc_function<"shutdown", int(int, int)> libc_shutdown;
constexpr libc_function<"dup", int(int)> libc_dup;
constexpr libc_function<"dup2", int(int, int)> libc_dup2;
constexpr libc_function<"dup3", int(int, int, int)> libc_dup3;
// Variadic in C; on the platforms that weft runs on, such a call passes its arguments as any other does.
constexpr libc_function<"fcntl64", int(int, int, void*)> libc_fcntl;
constexpr libc_function<"ioctl", int(int, unsigned long, void*)> libc_ioctl;
constexpr libc_function<"__read_chk", ssize_t(int, void*, size_t, size_t)> libc_read_chk;

void note_status(int fd, bool nonblocking) noexcept {
    descriptor* const entry = weft::detail::known_descriptor(fd);
    if (entry != nullptr && !in_vfork_child)
        weft::detail::set_flag(*entry, descriptor::nonblocking, nonblocking);
}

void note_closing(int fd) noexcept {
    if (!in_vfork_child)
        weft::detail::descriptor_closing(fd);
}

int note_duplicate(int from, int to) noexcept {
    if (to >= 0 && from != to && !in_vfork_child)
        weft::detail::descriptor_duplicated(from, to);
    return to;
}

int fail(int error) noexcept {
    errno = error;
    return -1;
}

// Asked for a lock that is taken, the thread would wait: with patch_options::files another one does.
int lock_record(int fd, int command, void* argument) noexcept {
    bool const open_file = command == F_OFD_SETLKW;
    if (!on_fiber() || !weft::detail::files_are_offloaded)
        return libc_fcntl(fd, command, argument);
    int const at_once = libc_fcntl(fd, open_file ? F_OFD_SETLK : F_SETLK, argument);
    if (at_once == 0 || (errno != EAGAIN && errno != EACCES))
        return at_once;
    return static_cast<int>(weft::detail::offload_system_call(
        "fcntl lock", SYS_fcntl, {fd, command, reinterpret_cast<long>(argument)}));
}

// fcntl takes no argument, an int or a pointer: libc's own passes on whatever register it would be in, and so do we.
int control(int fd, int command, void* argument) noexcept {
    if (command == F_SETLKW || command == F_OFD_SETLKW)
        return lock_record(fd, command, argument);
    int const result = libc_fcntl(fd, command, argument);
    if (result < 0)
        return result;
    if (command == F_SETFL)
        note_status(fd, (reinterpret_cast<std::uintptr_t>(argument) & O_NONBLOCK) != 0);
    else if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        note_duplicate(fd, result);
    return result;
}

// Closes what is open from `first` to `last`, but for what is weft's own.
template <class CloseRange> int close_all(unsigned first, unsigned last, CloseRange close_range) noexcept {
    if (in_vfork_child)
        return close_range(first, last);
    int result = 0;
    while (auto const hidden = weft::detail::next_hidden(first, last)) {
        if (*hidden > first) {
            weft::detail::descriptors_closing(first, *hidden - 1);
            result = close_range(first, *hidden - 1);
        }
        if (*hidden == last || result != 0)
            return result;
        first = *hidden + 1;
    }
    weft::detail::descriptors_closing(first, last);
    return close_range(first, last);
}

} // namespace

extern "C" {

ssize_t read(int fd, void* buffer, size_t size) {
    if (!on_fiber())
        return libc_read(fd, buffer, size);
    return io::read(fd, buffer, size);
}

ssize_t readv(int fd, iovec const* parts, int count) {
    if (!on_fiber())
        return libc_readv(fd, parts, count);
    return io::read(fd, parts, count);
}

ssize_t write(int fd, void const* data, size_t size) {
    if (!on_fiber())
        return libc_write(fd, data, size);
    return io::write(fd, data, size);
}

ssize_t writev(int fd, iovec const* parts, int count) {
    if (!on_fiber())
        return libc_writev(fd, parts, count);
    return io::write(fd, parts, count);
}

// libc's read and write inside, by its own names.
int eventfd_read(int fd, eventfd_t* value) {
    return read(fd, value, sizeof *value) == sizeof *value ? 0 : -1;
}
int eventfd_write(int fd, eventfd_t value) {
    return write(fd, &value, sizeof value) == sizeof value ? 0 : -1;
}

// What is weft's own is not open, as far as the program can tell.
int close(int fd) {
    if (weft::detail::is_hidden(fd) && !in_vfork_child)
        return fail(EBADF);
    note_closing(fd);
    return libc_close(fd);
}

int close_range(unsigned first, unsigned last, int flags) noexcept {
    if ((static_cast<unsigned>(flags) & CLOSE_RANGE_CLOEXEC) != 0 || first > last)
        return libc_close_range(first, last, flags);
    return close_all(first, last,
                     [flags](unsigned from, unsigned to) { return libc_close_range(from, to, flags); });
}

void closefrom(int first) noexcept {
    close_all(static_cast<unsigned>(first < 0 ? 0 : first), ~0U, [](unsigned from, unsigned to) {
        if (to == ~0U)
            libc_closefrom(static_cast<int>(from));
        else
            libc_close_range(from, to, 0);
        return 0;
    });
}

// libc closes the descriptor inside, by its own name for it.
int fclose(FILE* stream) {
    bool const written = in_vfork_child || weft::detail::flush_stream(stream);
    int const error = errno;
    if (int const fd = ::fileno(stream); fd >= 0)
        note_closing(fd);
    int const result = libc_fclose(stream);
    if (!written)
        errno = error;
    return written ? result : EOF;
}

// The kernel wakes those who wait: a shut-down socket raises an edge.
int shutdown(int fd, int how) noexcept { return libc_shutdown(fd, how); }

int pipe2(int ends[2], int flags) noexcept {
    int const result = libc_pipe2(ends, flags);
    if (on_fiber() && result == 0) {
        io::opened_pipe(ends[0], flags);
        io::opened_pipe(ends[1], flags);
    }
    return result;
}
int pipe(int ends[2]) noexcept { return pipe2(ends, 0); }

int dup(int fd) noexcept { return note_duplicate(fd, libc_dup(fd)); }

int dup2(int from, int to) noexcept {
    if (from != to && ::fcntl(from, F_GETFD) >= 0) {
        if (weft::detail::is_hidden(to) && !in_vfork_child)
            return fail(EBUSY);
        note_closing(to);
    }
    return note_duplicate(from, libc_dup2(from, to));
}

int dup3(int from, int to, int flags) noexcept {
    if (from != to && ::fcntl(from, F_GETFD) >= 0) {
        if (weft::detail::is_hidden(to) && !in_vfork_child)
            return fail(EBUSY);
        note_closing(to);
    }
    return note_duplicate(from, libc_dup3(from, to, flags));
}

int fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    return control(fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    return control(fd, command, argument);
}

int ioctl(int fd, unsigned long request, ...) noexcept {
    va_list arguments;
    va_start(arguments, request);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    int const result = libc_ioctl(fd, request, argument);
    if (result >= 0 && request == FIONBIO)
        note_status(fd, *static_cast<int const*>(argument) != 0);
    return result;
}

ssize_t __read_chk(int fd, void* buffer, size_t size, size_t room) {
    if (!on_fiber() || size > room)
        return libc_read_chk(fd, buffer, size, room);
    return io::read(fd, buffer, size);
}

// libc's own older names, which old binaries call.
int __dup2(int from, int to) noexcept { return dup2(from, to); }
// NOLINTNEXTLINE(readability-identifier-naming): libc's name
int _IO_fclose(FILE* stream) { return fclose(stream); }
ssize_t __read(int fd, void* buffer, size_t size) { return read(fd, buffer, size); }
ssize_t __write(int fd, void const* data, size_t size) { return write(fd, data, size); }
int __close(int fd) { return close(fd); }
int __fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    return control(fd, command, argument);
}

} // extern "C"
