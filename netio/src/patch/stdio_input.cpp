// The patched calls that read streams. Where libc would read more than once, each read is waited for: as in libc, a line or a block may come in
// many pieces. While one fiber waits for the next piece, another may read from the stream, too.
//
// scanf and its relatives wait for the first byte alone; what else they read, libc reads.
#include <stdio_ext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../io_call.hpp"
#include "libc_function.hpp"
#include "on_fiber.hpp"
#include "stdio_stream.hpp"

using weft::detail::flush_stream;
using weft::detail::io_call;
using weft::detail::libc_function;
using weft::detail::on_fiber;
using weft::detail::stream_lock;
using weft::detail::waiting_descriptor;

extern "C" {
// libc's own, which its headers call.
int __underflow(FILE* stream);
int __uflow(FILE* stream);
}

namespace {

constexpr libc_function<"__underflow", int(FILE*)> libc_underflow;
constexpr libc_function<"__uflow", int(FILE*)> libc_uflow;
constexpr libc_function<"getc", int(FILE*)> libc_getc;
constexpr libc_function<"getc_unlocked", int(FILE*)> libc_getc_unlocked;
constexpr libc_function<"getw", int(FILE*)> libc_getw;
constexpr libc_function<"fgets", char*(char*, int, FILE*)> libc_fgets;
constexpr libc_function<"__fgets_chk", char*(char*, size_t, int, FILE*)> libc_fgets_chk;
constexpr libc_function<"gets", char*(char*)> libc_gets;
constexpr libc_function<"__gets_chk", char*(char*, size_t)> libc_gets_chk;
constexpr libc_function<"fread", size_t(void*, size_t, size_t, FILE*)> libc_fread;
constexpr libc_function<"__fread_chk", size_t(void*, size_t, size_t, size_t, FILE*)> libc_fread_chk;
constexpr libc_function<"getdelim", ssize_t(char**, size_t*, int, FILE*)> libc_getdelim;
constexpr libc_function<"vfscanf", int(FILE*, char const*, va_list)> libc_vfscanf;
constexpr libc_function<"__isoc99_vfscanf", int(FILE*, char const*, va_list)> libc_isoc99_vfscanf;

// Of _flags: what is read now is what ungetc() gave back; the other area, saved, is what libc had read before.
constexpr int in_backup = 0x100;

enum class input {
    libcs,    // libc is to read: it waits for nothing, or for a disk, or has an end or an error to tell
    buffered, // there are bytes in the buffer
    ready,    // one read won't block
    failed,   // the stream's error is set
};

bool has_bytes(FILE const* stream) noexcept { return stream->_IO_read_ptr < stream->_IO_read_end; }
std::size_t bytes_left(FILE const* stream) noexcept {
    return static_cast<std::size_t>(stream->_IO_read_end - stream->_IO_read_ptr);
}

// Whether libc, having read all that was given back, has bytes left of what it had read before. It takes those first.
bool has_bytes_behind(FILE const* stream) noexcept {
    return (stream->_flags & in_backup) != 0 && stream->_IO_save_base < stream->_IO_save_end;
}

// What libc writes before it reads: the stream's own output; and prompts, before it reads from people.
void flush_before_reading(FILE* stream, int fd) noexcept {
    if (::__fpending(stream) > 0)
        flush_stream(stream);
    bool const by_lines = ::__flbf(stream) != 0 || ::__fbufsize(stream) == 1 ||
                          (stream->_IO_buf_base == nullptr && ::isatty(fd) != 0);
    if (by_lines && ::__flbf(stdout) != 0 && ::__fpending(stdout) > 0)
        flush_stream(stdout);
}

// On a fiber: waits until the stream has bytes, or its descriptor has.
input wait_for_input(FILE* stream) noexcept {
    if (has_bytes(stream))
        return input::buffered;
    bool const no_read = ::feof_unlocked(stream) != 0 || has_bytes_behind(stream);
    int const fd = !no_read && ::__freadable(stream) != 0 ? waiting_descriptor(stream) : -1;
    if (fd < 0)
        return input::libcs;
    int const error = errno;
    flush_before_reading(stream, fd);
    while (weft::detail::sys::events_now(fd, POLLIN) == 0) {
        io_call call(fd);
        if (!call.possible())
            return input::libcs;
        if (call.wait(EPOLLIN, "stdio"))
            continue;
        if (errno != EINTR && errno != EAGAIN)
            return input::libcs; // can't be waited for, or was closed
        weft::detail::set_failed(stream);
        return input::failed;
    }
    errno = error;
    weft::detail::count_call(*weft::detail::current_fiber);
    return input::ready;
}

// As wait_for_input(), with the bytes in the buffer then, those of a disk as well. `ready` can't be the result, and `libcs` is the
// stream's end.
input fetch(FILE* stream) noexcept {
    input const found = wait_for_input(stream);
    if (found == input::buffered || found == input::failed)
        return found;
    stream_lock const lock(stream);
    if (libc_underflow(stream) != EOF)
        return input::buffered;
    return ::ferror_unlocked(stream) != 0 ? input::failed : input::libcs;
}

// Whether the call is libc's alone: off fibers, or because all that it can want is in the buffer.
bool is_libcs(FILE const* stream, std::size_t most, int delimiter) noexcept {
    if (weft::detail::current_fiber == nullptr)
        return true;
    std::size_t const looked_at = std::min(most, bytes_left(stream));
    bool const enough =
        has_bytes(stream) &&
        (looked_at == most ||
         (delimiter != EOF && std::memchr(stream->_IO_read_ptr, delimiter, looked_at) != nullptr));
    return !on_fiber() || enough;
}

template <class Libc> int get_character(FILE* stream, Libc libc) {
    if (weft::detail::current_fiber != nullptr && !has_bytes(stream) && on_fiber() &&
        wait_for_input(stream) == input::failed)
        return EOF;
    return libc(stream);
}

// Up to `most` bytes, and no further than after `delimiter`, if it isn't EOF. `append` takes each piece. The result of the last
// fetch(), which is `buffered` if all went well.
template <class Append> input read_pieces(FILE* stream, std::size_t most, int delimiter, Append append) {
    while (most > 0) {
        input const found = fetch(stream);
        if (found != input::buffered)
            return found;
        stream_lock const lock(stream);
        char const* const begin = stream->_IO_read_ptr;
        std::size_t count = std::min(most, bytes_left(stream));
        void const* const end = delimiter != EOF ? std::memchr(begin, delimiter, count) : nullptr;
        if (end != nullptr)
            count = static_cast<std::size_t>(static_cast<char const*>(end) - begin) + 1;
        if (!append(begin, count)) {
            weft::detail::set_failed(stream);
            return input::failed;
        }
        stream->_IO_read_ptr += count;
        most = end != nullptr ? 0 : most - count;
    }
    return input::buffered;
}

char* get_line(char* line, int room, FILE* stream) {
    if (room <= 1 || is_libcs(stream, static_cast<std::size_t>(room) - 1, '\n'))
        return libc_fgets(line, room, stream);
    std::size_t got = 0;
    input const last = read_pieces(stream, static_cast<std::size_t>(room) - 1, '\n',
                                   [&](char const* bytes, std::size_t count) {
                                       std::memcpy(line + got, bytes, count);
                                       got += count;
                                       return true;
                                   });
    if (got == 0 && last == input::libcs)
        return libc_fgets(line, room, stream);
    if (got == 0 || (last == input::failed && errno != EAGAIN))
        return nullptr;
    line[got] = '\0';
    return line;
}

std::size_t read_block(void* block, std::size_t size, std::size_t count, FILE* stream) {
    std::size_t total = 0;
    if (__builtin_mul_overflow(size, count, &total) || total == 0 || is_libcs(stream, total, EOF))
        return libc_fread(block, size, count, stream);
    // Of a file, in the largest pieces that there are.
    if (waiting_descriptor(stream) < 0)
        return libc_fread(block, size, count, stream);
    auto* const bytes = static_cast<char*>(block);
    std::size_t got = 0;
    read_pieces(stream, total, EOF, [&](char const* piece, std::size_t length) {
        std::memcpy(bytes + got, piece, length);
        got += length;
        return true;
    });
    return got / size;
}

ssize_t get_delimited(char** line, std::size_t* room, int delimiter, FILE* stream) {
    if (line == nullptr || room == nullptr || is_libcs(stream, SSIZE_MAX, delimiter))
        return libc_getdelim(line, room, delimiter, stream);
    std::size_t got = 0;
    input const last =
        read_pieces(stream, SSIZE_MAX - 1, static_cast<unsigned char>(delimiter),
                    [&](char const* bytes, std::size_t count) {
                        std::size_t const needed = got + count + 1;
                        if (*line == nullptr || *room < needed) {
                            std::size_t const wanted = std::max({needed, 2 * *room, std::size_t{120}});
                            auto* const larger = static_cast<char*>(std::realloc(*line, wanted));
                            if (larger == nullptr)
                                return false;
                            *line = larger;
                            *room = wanted;
                        }
                        std::memcpy(*line + got, bytes, count);
                        got += count;
                        return true;
                    });
    if (got == 0 && last == input::libcs)
        return libc_getdelim(line, room, delimiter, stream);
    if (got == 0)
        return -1;
    (*line)[got] = '\0';
    return static_cast<ssize_t>(got);
}

template <class Libc> int scan(Libc libc, FILE* stream, char const* format, va_list arguments) {
    if (weft::detail::current_fiber != nullptr && on_fiber() && wait_for_input(stream) == input::failed)
        return EOF;
    return libc(stream, format, arguments);
}

} // namespace

extern "C" {

int __underflow(FILE* stream) { return get_character(stream, libc_underflow); }
int __uflow(FILE* stream) { return get_character(stream, libc_uflow); }
int fgetc(FILE* stream) { return get_character(stream, libc_getc); }
int getc(FILE* stream) { return get_character(stream, libc_getc); }
int getchar() { return get_character(stdin, libc_getc); }
int fgetc_unlocked(FILE* stream) { return get_character(stream, libc_getc_unlocked); }
int getc_unlocked(FILE* stream) { return get_character(stream, libc_getc_unlocked); }
int getchar_unlocked() { return get_character(stdin, libc_getc_unlocked); }
int getw(FILE* stream) { return get_character(stream, libc_getw); }

char* fgets(char* line, int room, FILE* stream) { return get_line(line, room, stream); }
char* fgets_unlocked(char* line, int room, FILE* stream) { return get_line(line, room, stream); }
size_t fread(void* block, size_t size, size_t count, FILE* stream) {
    return read_block(block, size, count, stream);
}
size_t fread_unlocked(void* block, size_t size, size_t count, FILE* stream) {
    return read_block(block, size, count, stream);
}
ssize_t getdelim(char** line, size_t* room, int delimiter, FILE* stream) {
    return get_delimited(line, room, delimiter, stream);
}
ssize_t getline(char** line, size_t* room, FILE* stream) { return get_delimited(line, room, '\n', stream); }

// No header declares it any more; who still calls it has no room but what the line needs.
char* gets(char* line) {
    if (weft::detail::current_fiber != nullptr && on_fiber() && wait_for_input(stdin) == input::failed)
        return nullptr;
    return libc_gets(line);
}

// By the plain names stdio.h calls the standard's.
int weft_vfscanf(FILE* stream, char const* format, va_list arguments) __asm__("vfscanf");
int weft_vfscanf(FILE* stream, char const* format, va_list arguments) {
    return scan(libc_vfscanf, stream, format, arguments);
}
int weft_vscanf(char const* format, va_list arguments) __asm__("vscanf");
int weft_vscanf(char const* format, va_list arguments) {
    return scan(libc_vfscanf, stdin, format, arguments);
}
int __isoc99_vfscanf(FILE* stream, char const* format, va_list arguments) {
    return scan(libc_isoc99_vfscanf, stream, format, arguments);
}
int __isoc99_vscanf(char const* format, va_list arguments) {
    return scan(libc_isoc99_vfscanf, stdin, format, arguments);
}
int weft_scanf(char const* format, ...) __asm__("scanf");
int weft_scanf(char const* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int const result = scan(libc_vfscanf, stdin, format, arguments);
    va_end(arguments);
    return result;
}
int weft_fscanf(FILE* stream, char const* format, ...) __asm__("fscanf");
int weft_fscanf(FILE* stream, char const* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int const result = scan(libc_vfscanf, stream, format, arguments);
    va_end(arguments);
    return result;
}
int __isoc99_scanf(char const* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int const result = scan(libc_isoc99_vfscanf, stdin, format, arguments);
    va_end(arguments);
    return result;
}
int __isoc99_fscanf(FILE* stream, char const* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int const result = scan(libc_isoc99_vfscanf, stream, format, arguments);
    va_end(arguments);
    return result;
}

// What _FORTIFY_SOURCE makes of the names above: libc's version checks the sizes, and aborts with its own message.
char* __fgets_chk(char* line, size_t size, int room, FILE* stream) {
    return room <= 0 || static_cast<size_t>(room) > size ? libc_fgets_chk(line, size, room, stream)
                                                         : get_line(line, room, stream);
}
size_t __fread_chk(void* block, size_t room, size_t size, size_t count, FILE* stream) {
    size_t total = 0;
    return __builtin_mul_overflow(size, count, &total) || total > room
               ? libc_fread_chk(block, room, size, count, stream)
               : read_block(block, size, count, stream);
}
char* __gets_chk(char* line, size_t room) {
    if (weft::detail::current_fiber != nullptr && on_fiber() && wait_for_input(stdin) == input::failed)
        return nullptr;
    return libc_gets_chk(line, room);
}

char* __fgets_unlocked_chk(char* line, size_t size, int room, FILE* stream) {
    return __fgets_chk(line, size, room, stream);
}
size_t __fread_unlocked_chk(void* block, size_t room, size_t size, size_t count, FILE* stream) {
    return __fread_chk(block, room, size, count, stream);
}

// libc's own other names.
// NOLINTBEGIN(readability-identifier-naming)
int _IO_getc(FILE* stream) { return get_character(stream, libc_getc); }
char* _IO_fgets(char* line, int room, FILE* stream) { return get_line(line, room, stream); }
char* _IO_gets(char* line) { return gets(line); }
size_t _IO_fread(void* block, size_t size, size_t count, FILE* stream) {
    return read_block(block, size, count, stream);
}
// NOLINTEND(readability-identifier-naming)
ssize_t __getdelim(char** line, size_t* room, int delimiter, FILE* stream) {
    return get_delimited(line, room, delimiter, stream);
}

} // extern "C"
