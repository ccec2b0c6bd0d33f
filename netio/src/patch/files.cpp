// The patched calls on files. A FIFO that is opened is waited for in any case; what waits for a disk or a lock is libc's own, unless
// patch_options::files has it offloaded (disk.hpp).
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdarg>

#include <weft/detail/offload.hpp>

#include "../descriptor.hpp"
#include "../disk.hpp"
#include "../io.hpp"
#include "../user_memory.hpp"
#include "libc_function.hpp"
#include "on_fiber.hpp"

using weft::detail::libc_function;
using weft::detail::offload_system_call;
using weft::detail::on_fiber;
using weft::detail::wait_for_disk;
namespace io = weft::detail::io;

namespace {

// Variadic in C; on the platforms that weft runs on, such a call passes its arguments as any other does.
constexpr libc_function<"open", int(char const*, int, mode_t)> libc_open;
constexpr libc_function<"openat", int(int, char const*, int, mode_t)> libc_openat;
constexpr libc_function<"__open_2", int(char const*, int)> libc_open_2;
constexpr libc_function<"__openat_2", int(int, char const*, int)> libc_openat_2;
constexpr libc_function<"pread", ssize_t(int, void*, size_t, off_t)> libc_pread;
constexpr libc_function<"pwrite", ssize_t(int, void const*, size_t, off_t)> libc_pwrite;
constexpr libc_function<"__pread_chk", ssize_t(int, void*, size_t, off_t, size_t)> libc_pread_chk;
constexpr libc_function<"preadv", ssize_t(int, iovec const*, int, off_t)> libc_preadv;
constexpr libc_function<"pwritev", ssize_t(int, iovec const*, int, off_t)> libc_pwritev;
constexpr libc_function<"preadv2", ssize_t(int, iovec const*, int, off_t, int)> libc_preadv2;
constexpr libc_function<"pwritev2", ssize_t(int, iovec const*, int, off_t, int)> libc_pwritev2;
constexpr libc_function<"fsync", int(int)> libc_fsync;
constexpr libc_function<"fdatasync", int(int)> libc_fdatasync;
constexpr libc_function<"sync", void()> libc_sync;
constexpr libc_function<"syncfs", int(int)> libc_syncfs;
constexpr libc_function<"msync", int(void*, size_t, int)> libc_msync;
constexpr libc_function<"flock", int(int, int)> libc_flock;
constexpr libc_function<"lockf", int(int, int, off_t)> libc_lockf;

bool offloaded() noexcept {
    return on_fiber() && weft::detail::files_are_offloaded.load(std::memory_order_relaxed);
}

// -- opening --

bool has_mode(int flags) noexcept { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

// fifo(7): opening one end waits for the other, but for O_RDWR.
bool waits_for_peer(int folder, char const* path, int flags) noexcept {
    if (path == nullptr || (flags & (O_NONBLOCK | O_PATH | O_DIRECTORY)) != 0 ||
        (flags & O_ACCMODE) == O_RDWR)
        return false;
    int const error = errno;
    struct stat status {};
    bool const fifo =
        ::fstatat(folder, path, &status, (flags & O_NOFOLLOW) != 0 ? AT_SYMLINK_NOFOLLOW : 0) == 0 &&
        S_ISFIFO(status.st_mode);
    errno = error;
    return fifo;
}

int open_at(int folder, char const* path, int flags, mode_t mode) noexcept {
    int fd = -1;
    if (waits_for_peer(folder, path, flags))
        fd = static_cast<int>(
            offload_system_call("open", SYS_openat, {folder, reinterpret_cast<long>(path), flags, mode}));
    else
        fd = wait_for_disk("open", [=] { return libc_openat(folder, path, flags, mode); });
    if (fd >= 0)
        weft::detail::descriptor_opened(fd, (flags & O_NONBLOCK) != 0 ? weft::detail::descriptor::nonblocking
                                                                      : 0U);
    return fd;
}

int open_file(char const* path, int flags, mode_t mode) {
    return on_fiber() ? open_at(AT_FDCWD, path, flags, mode) : libc_open(path, flags, mode);
}

int open_file_at(int folder, char const* path, int flags, mode_t mode) {
    return on_fiber() ? open_at(folder, path, flags, mode) : libc_openat(folder, path, flags, mode);
}

// -- reading and writing --

ssize_t read_at(int fd, void* buffer, size_t size, off_t offset) {
    if (!offloaded() || offset < 0 || weft::detail::beyond_memory(buffer, size))
        return libc_pread(fd, buffer, size, offset);
    iovec const whole{.iov_base = buffer, .iov_len = size};
    return io::read_at(fd, &whole, 1, offset, 0);
}

ssize_t write_at(int fd, void const* data, size_t size, off_t offset) {
    if (!offloaded() || offset < 0 || weft::detail::beyond_memory(data, size))
        return libc_pwrite(fd, data, size, offset);
    iovec const whole{.iov_base = const_cast<void*>(data), .iov_len = size};
    return io::write_at(fd, &whole, 1, offset, 0);
}

ssize_t read_parts_at(int fd, iovec const* parts, int count, off_t offset) {
    return offloaded() && offset >= 0 ? io::read_at(fd, parts, count, offset, 0)
                                      : libc_preadv(fd, parts, count, offset);
}

ssize_t write_parts_at(int fd, iovec const* parts, int count, off_t offset) {
    return offloaded() && offset >= 0 ? io::write_at(fd, parts, count, offset, 0)
                                      : libc_pwritev(fd, parts, count, offset);
}

// Offset -1 makes them readv and writev, which wait for pipes and sockets, too.
ssize_t read_parts_at(int fd, iovec const* parts, int count, off_t offset, int flags) {
    return on_fiber() ? io::read_at(fd, parts, count, offset, flags)
                      : libc_preadv2(fd, parts, count, offset, flags);
}

ssize_t write_parts_at(int fd, iovec const* parts, int count, off_t offset, int flags) {
    return on_fiber() ? io::write_at(fd, parts, count, offset, flags)
                      : libc_pwritev2(fd, parts, count, offset, flags);
}

// -- locks --

int lock_file(int fd, int operation) noexcept {
    if (!offloaded() || (operation & LOCK_NB) != 0 || (operation & (LOCK_SH | LOCK_EX)) == 0)
        return libc_flock(fd, operation);
    int const at_once = libc_flock(fd, operation | LOCK_NB);
    if (at_once == 0 || errno != EWOULDBLOCK)
        return at_once;
    return static_cast<int>(offload_system_call("flock", SYS_flock, {fd, operation}));
}

// lockf(3) in terms of fcntl(2).
int lock_section(int fd, int operation, off_t size) {
    if (!offloaded() || operation != F_LOCK)
        return libc_lockf(fd, operation, size);
    struct flock section {};
    section.l_type = F_WRLCK;
    section.l_whence = SEEK_CUR;
    section.l_len = size;
    return ::fcntl(fd, F_SETLKW, &section);
}

} // namespace

extern "C" {

int open(char const* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t const mode = has_mode(flags) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_file(path, flags, mode);
}

int openat(int folder, char const* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t const mode = has_mode(flags) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_file_at(folder, path, flags, mode);
}

int creat(char const* path, mode_t mode) { return open_file(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

ssize_t pread(int fd, void* buffer, size_t size, off_t offset) { return read_at(fd, buffer, size, offset); }
ssize_t pwrite(int fd, void const* data, size_t size, off_t offset) {
    return write_at(fd, data, size, offset);
}
ssize_t preadv(int fd, iovec const* parts, int count, off_t offset) {
    return read_parts_at(fd, parts, count, offset);
}
ssize_t pwritev(int fd, iovec const* parts, int count, off_t offset) {
    return write_parts_at(fd, parts, count, offset);
}
ssize_t preadv2(int fd, iovec const* parts, int count, off_t offset, int flags) {
    return read_parts_at(fd, parts, count, offset, flags);
}
ssize_t pwritev2(int fd, iovec const* parts, int count, off_t offset, int flags) {
    return write_parts_at(fd, parts, count, offset, flags);
}

int fsync(int fd) {
    return on_fiber() ? wait_for_disk("fsync", [=] { return libc_fsync(fd); }) : libc_fsync(fd);
}
int fdatasync(int fd) {
    return on_fiber() ? wait_for_disk("fdatasync", [=] { return libc_fdatasync(fd); }) : libc_fdatasync(fd);
}
int syncfs(int fd) noexcept {
    return on_fiber() ? wait_for_disk("syncfs", [=] { return libc_syncfs(fd); }) : libc_syncfs(fd);
}
void sync() noexcept {
    auto const call = [] {
        libc_sync();
        return 0;
    };
    on_fiber() ? wait_for_disk("sync", call) : call();
}
int msync(void* address, size_t size, int flags) {
    auto const call = [=] { return libc_msync(address, size, flags); };
    return on_fiber() ? wait_for_disk("msync", call) : call();
}

int flock(int fd, int operation) noexcept { return lock_file(fd, operation); }
int lockf(int fd, int operation, off_t size) { return lock_section(fd, operation, size); }

// What _FORTIFY_SOURCE makes of the names above: libc's version checks the arguments, and aborts with its own message.
int __open_2(char const* path, int flags) {
    return has_mode(flags) ? libc_open_2(path, flags) : open_file(path, flags, 0);
}
int __openat_2(int folder, char const* path, int flags) {
    return has_mode(flags) ? libc_openat_2(folder, path, flags) : open_file_at(folder, path, flags, 0);
}
ssize_t __pread_chk(int fd, void* buffer, size_t size, off_t offset, size_t room) {
    return size > room ? libc_pread_chk(fd, buffer, size, offset, room) : read_at(fd, buffer, size, offset);
}

// The same for who was built with 64-bit offsets: here, all are.
int open64(char const*, int, ...) __attribute__((alias("open")));
int openat64(int, char const*, int, ...) __attribute__((alias("openat")));
int creat64(char const*, mode_t) __attribute__((alias("creat")));
ssize_t pread64(int, void*, size_t, off_t) __attribute__((alias("pread")));
ssize_t pwrite64(int, void const*, size_t, off_t) __attribute__((alias("pwrite")));
ssize_t preadv64(int, iovec const*, int, off_t) __attribute__((alias("preadv")));
ssize_t pwritev64(int, iovec const*, int, off_t) __attribute__((alias("pwritev")));
ssize_t preadv64v2(int, iovec const*, int, off_t, int) __attribute__((alias("preadv2")));
ssize_t pwritev64v2(int, iovec const*, int, off_t, int) __attribute__((alias("pwritev2")));
int lockf64(int, int, off_t) __attribute__((alias("lockf")));
int __open64_2(char const*, int) __attribute__((alias("__open_2")));
int __openat64_2(int, char const*, int) __attribute__((alias("__openat_2")));
ssize_t __pread64_chk(int, void*, size_t, off_t, size_t) __attribute__((alias("__pread_chk")));

// libc's own older names, which old binaries call.
int __open(char const*, int, ...) __attribute__((alias("open"), nonnull(1)));
int __open64(char const*, int, ...) __attribute__((alias("open"), nonnull(1)));
ssize_t __pread64(int, void*, size_t, off_t) __attribute__((alias("pread")));
ssize_t __pwrite64(int, void const*, size_t, off_t) __attribute__((alias("pwrite")));

} // extern "C"
