// The patched calls that pass bytes from one descriptor to another.
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "../io.hpp"
#include "libc_function.hpp"
#include "on_fiber.hpp"

using weft::detail::libc_function;
using weft::detail::on_fiber;
namespace io = weft::detail::io;

namespace {

constexpr libc_function<"sendfile", ssize_t(int, int, off_t*, size_t)> libc_sendfile;
constexpr libc_function<"splice", ssize_t(int, off_t*, int, off_t*, size_t, unsigned)> libc_splice;
constexpr libc_function<"tee", ssize_t(int, int, size_t, unsigned)> libc_tee;
constexpr libc_function<"vmsplice", ssize_t(int, iovec const*, size_t, unsigned)> libc_vmsplice;

} // namespace

extern "C" {

ssize_t sendfile(int to, int from, off_t* offset, size_t size) noexcept {
    return on_fiber() ? io::send_file(to, from, offset, size) : libc_sendfile(to, from, offset, size);
}

// Built with 64-bit offsets: here, all are.
ssize_t sendfile64(int, int, off_t*, size_t) noexcept __attribute__((alias("sendfile")));

ssize_t splice(int from, off_t* from_offset, int to, off_t* to_offset, size_t size, unsigned flags) {
    return on_fiber() ? io::splice(from, from_offset, to, to_offset, size, flags)
                      : libc_splice(from, from_offset, to, to_offset, size, flags);
}

ssize_t tee(int from, int to, size_t size, unsigned flags) {
    return on_fiber() ? io::tee(from, to, size, flags) : libc_tee(from, to, size, flags);
}

ssize_t vmsplice(int fd, iovec const* parts, size_t count, unsigned flags) {
    return on_fiber() ? io::splice_memory(fd, parts, count, flags) : libc_vmsplice(fd, parts, count, flags);
}

} // extern "C"
