// The patched calls that write streams. What fits into the buffer is libc's to put there. What has to be written, and what was buffered
// before it, is taken out of libc's hands and written as write(2) on a fiber would.
//
// While a fiber waits in the midst of a call's output, other fibers' calls on that stream wait for their turn.
#include <pthread.h>
#include <stdio_ext.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include <weft/detail/park.hpp>
#include <weft/detail/parking_lot.hpp>
#include <weft/detail/spinlock.hpp>

#include "../io.hpp"
#include "libc_function.hpp"
#include "on_fiber.hpp"
#include "stdio_stream.hpp"

using weft::detail::libc_function;
using weft::detail::on_fiber;
using weft::detail::stream_lock;
using weft::detail::waiting_descriptor;
namespace io = weft::detail::io;

extern "C" {
// libc's own, which no header declares.
int __overflow(FILE* stream, int character);
// NOLINTNEXTLINE(readability-identifier-naming)
void _IO_doallocbuf(FILE* stream);
int __vsnprintf_chk(char* text, std::size_t room, int flag, std::size_t size, char const* format,
                    va_list arguments);
}

namespace {

constexpr libc_function<"__overflow", int(FILE*, int)> libc_overflow;
constexpr libc_function<"putc", int(int, FILE*)> libc_putc;
constexpr libc_function<"putc_unlocked", int(int, FILE*)> libc_putc_unlocked;
constexpr libc_function<"putw", int(int, FILE*)> libc_putw;
constexpr libc_function<"fputs", int(char const*, FILE*)> libc_fputs;
constexpr libc_function<"puts", int(char const*)> libc_puts;
constexpr libc_function<"fwrite", size_t(void const*, size_t, size_t, FILE*)> libc_fwrite;
constexpr libc_function<"fflush", int(FILE*)> libc_fflush;
constexpr libc_function<"vfprintf", int(FILE*, char const*, va_list)> libc_vfprintf;
constexpr libc_function<"__vfprintf_chk", int(FILE*, int, char const*, va_list)> libc_vfprintf_chk;
constexpr libc_function<"vdprintf", int(int, char const*, va_list)> libc_vdprintf;
constexpr libc_function<"__vdprintf_chk", int(int, int, char const*, va_list)> libc_vdprintf_chk;

// -- turns --

// One fiber at a time is past the constructor for a stream.
class stream_turn {
public:
    explicit stream_turn(FILE* stream) noexcept : stream_(stream) {
        for (;;) {
            weft::detail::lot_waiter self(stream);
            {
                weft::detail::lot_guard lot(stream);
                if (!is_taken()) {
                    next_ = all.exchange_first(this);
                    return;
                }
                lot.enqueue(self);
            }
            self.wait({"stdio"}, weft::never);
        }
    }
    stream_turn(stream_turn const&) = delete;
    stream_turn& operator=(stream_turn const&) = delete;
    ~stream_turn() {
        weft::detail::lot_guard lot(stream_);
        all.remove(this);
        auto const woken = lot.take_first(1);
        lot.unlock();
        woken.deliver();
    }

private:
    // Those that are taken, of all streams. Few, for a moment each.
    struct list {
        weft::detail::spinlock lock;
        stream_turn* first = nullptr;

        stream_turn* exchange_first(stream_turn* turn) noexcept {
            std::scoped_lock const guard(lock);
            return std::exchange(first, turn);
        }
        void remove(stream_turn const* turn) noexcept {
            std::scoped_lock const guard(lock);
            for (stream_turn** link = &first; *link != nullptr; link = &(*link)->next_)
                if (*link == turn) {
                    *link = turn->next_;
                    return;
                }
        }
    };

    [[nodiscard]] bool is_taken() const noexcept {
        std::scoped_lock const guard(all.lock);
        for (stream_turn const* each = all.first; each != nullptr; each = each->next_)
            if (each->stream_ == stream_)
                return true;
        return false;
    }

    // In the child the fibers that had one are not.
    [[gnu::constructor]] static void watch_forks() {
        ::pthread_atfork(nullptr, nullptr, [] {
            all.lock.unlock();
            all.first = nullptr;
        });
    }

    static constinit list all;

    FILE* stream_;
    stream_turn* next_ = nullptr; // under all.lock
};

constinit stream_turn::list stream_turn::all;

// -- writing --

struct bytes {
    char const* data;
    std::size_t size;
};

std::size_t buffer_size(FILE const* stream) noexcept {
    return static_cast<std::size_t>(stream->_IO_buf_end - stream->_IO_buf_base);
}

// Whether libc would write, if it were given these.
bool would_write(FILE* stream, bytes what) noexcept {
    if (stream->_IO_buf_base == nullptr || buffer_size(stream) <= 1)
        return true;
    if (::__flbf(stream) != 0 && std::memchr(what.data, '\n', what.size) != nullptr)
        return true;
    char const* const used = stream->_IO_write_ptr != nullptr ? stream->_IO_write_ptr : stream->_IO_buf_base;
    return what.size > static_cast<std::size_t>(stream->_IO_buf_end - used);
}

// On a fiber: the descriptor to be waited for, if libc would write there; else -1.
int descriptor_to_write(FILE* stream, bytes what) noexcept {
    if (!on_fiber() || !would_write(stream, what) || ::__fwritable(stream) == 0 ||
        stream->_IO_read_ptr != stream->_IO_read_end)
        return -1;
    return waiting_descriptor(stream);
}

bool write_all(FILE* stream, int fd, bytes what) noexcept {
    if (what.size == 0 || io::write(fd, what.data, what.size) == static_cast<ssize_t>(what.size))
        return true;
    weft::detail::set_failed(stream);
    return false;
}

// What is buffered, taken out of the buffer.
struct taken_bytes {
    std::unique_ptr<char[]> data;
    std::size_t size = 0;
};

// With room for `more` behind. False without memory.
bool take_buffered(FILE* stream, std::size_t more, taken_bytes& taken) noexcept {
    stream_lock const lock(stream);
    taken.size = ::__fpending(stream);
    if (taken.size == 0)
        return true;
    taken.data.reset(new (std::nothrow) char[taken.size + more]);
    if (taken.data == nullptr)
        return false;
    std::memcpy(taken.data.get(), stream->_IO_write_base, taken.size);
    ::__fpurge(stream);
    return true;
}

// Like libc, which drops what it could not write.
bool write_buffered(FILE* stream, int fd) noexcept {
    taken_bytes taken;
    if (!take_buffered(stream, 0, taken)) {
        errno = ENOMEM;
        weft::detail::set_failed(stream);
        return false;
    }
    return write_all(stream, fd, {taken.data.get(), taken.size});
}

// How much of it is to be written at once, after the `pending` bytes that are buffered; the rest fits into the empty buffer. As in libc:
// whole lines, whole buffers, or all.
std::size_t direct_part(FILE* stream, std::size_t pending, bytes what) noexcept {
    std::size_t const room = buffer_size(stream);
    if (room <= 1)
        return what.size;
    void const* const last_end = ::__flbf(stream) != 0 ? ::memrchr(what.data, '\n', what.size) : nullptr;
    if (last_end == nullptr)
        return pending + what.size < room ? 0 : (pending + what.size) / room * room - pending;
    std::size_t const lines = static_cast<std::size_t>(static_cast<char const*>(last_end) - what.data) + 1;
    return lines + (what.size - lines) / room * room;
}

// How many of them were written or buffered. What was buffered goes with them in one write, so that lines stay whole.
std::size_t put(FILE* stream, int fd, bytes what) noexcept {
    stream_turn const turn(stream);
    if (stream->_IO_buf_base == nullptr) {
        stream_lock const lock(stream);
        _IO_doallocbuf(stream);
    }
    std::size_t const direct = direct_part(stream, ::__fpending(stream), what);
    taken_bytes taken;
    if (!take_buffered(stream, direct, taken)) {
        errno = ENOMEM;
        weft::detail::set_failed(stream);
        return 0;
    }
    if (taken.size > 0)
        std::memcpy(taken.data.get() + taken.size, what.data, direct);
    bytes const all =
        taken.size > 0 ? bytes{taken.data.get(), taken.size + direct} : bytes{what.data, direct};
    if (!write_all(stream, fd, all))
        return 0;
    std::size_t const rest = what.size - direct;
    return direct + (rest > 0 ? libc_fwrite(what.data + direct, 1, rest, stream) : 0);
}

template <class Libc> int put_character(int character, FILE* stream, Libc libc) {
    char const byte = static_cast<char>(character);
    int const fd = weft::detail::current_fiber != nullptr ? descriptor_to_write(stream, {&byte, 1}) : -1;
    if (fd < 0)
        return libc(character, stream);
    return put(stream, fd, {&byte, 1}) == 1 ? static_cast<unsigned char>(byte) : EOF;
}

int put_text(char const* text, FILE* stream) {
    if (weft::detail::current_fiber == nullptr)
        return libc_fputs(text, stream);
    bytes const what{text, std::strlen(text)};
    int const fd = what.size > 0 ? descriptor_to_write(stream, what) : -1;
    if (fd < 0)
        return libc_fputs(text, stream);
    return put(stream, fd, what) == what.size ? 1 : EOF;
}

std::size_t put_block(void const* block, std::size_t size, std::size_t count, FILE* stream) {
    std::size_t total = 0;
    if (weft::detail::current_fiber == nullptr || __builtin_mul_overflow(size, count, &total) || total == 0)
        return libc_fwrite(block, size, count, stream);
    bytes const what{static_cast<char const*>(block), total};
    int const fd = descriptor_to_write(stream, what);
    return fd < 0 ? libc_fwrite(block, size, count, stream) : put(stream, fd, what) / size;
}

int flush(FILE* stream) {
    if (stream == nullptr &&
        weft::detail::current_fiber != nullptr) { // all streams: of these it is known that they exist
        bool const written = weft::detail::flush_stream(stdout) && weft::detail::flush_stream(stderr);
        return libc_fflush(nullptr) == 0 && written ? 0 : EOF;
    }
    if (stream != nullptr && !weft::detail::flush_stream(stream))
        return EOF;
    return libc_fflush(stream);
}

// -- formatting --

// What a format makes of its arguments: in memory, so that its length is known before libc is let at the stream.
class formatted {
public:
    // `flag`: of __printf_chk; less than 0: none.
    formatted(int flag, char const* format, va_list arguments) noexcept {
        va_list again;
        va_copy(again, arguments);
        length_ = make(few_.data(), few_.size(), flag, format, arguments);
        if (length_ >= static_cast<int>(few_.size())) {
            many_.reset(new (std::nothrow) char[static_cast<std::size_t>(length_) + 1]);
            text_ = many_.get();
            if (many_ != nullptr)
                make(text_, static_cast<std::size_t>(length_) + 1, flag, format, again);
        }
        va_end(again);
    }

    // False if there is no memory, or the format is bad: libc is to tell.
    [[nodiscard]] bool made() const noexcept { return length_ >= 0 && text_ != nullptr; }
    [[nodiscard]] bytes all() const noexcept { return {text_, static_cast<std::size_t>(length_)}; }
    [[nodiscard]] int length() const noexcept { return length_; }

private:
    static int make(char* text, std::size_t room, int flag, char const* format, va_list arguments) noexcept {
        return flag < 0 ? std::vsnprintf(text, room, format, arguments)
                        : __vsnprintf_chk(text, room, flag, SIZE_MAX, format, arguments);
    }

    std::array<char, 512> few_;
    std::unique_ptr<char[]> many_;
    char* text_ = few_.data();
    int length_ = -1;
};

// `libc` if the stream needn't be waited for.
template <class Libc> int print(FILE* stream, int flag, char const* format, va_list arguments, Libc libc) {
    if (weft::detail::current_fiber == nullptr || stream->_mode > 0)
        return libc(arguments);
    va_list again;
    va_copy(again, arguments);
    formatted const text(flag, format, again);
    va_end(again);
    if (!text.made())
        return libc(arguments);
    int const fd = text.length() > 0 ? descriptor_to_write(stream, text.all()) : -1;
    std::size_t const size = text.all().size;
    if (fd < 0)
        return text.length() == 0 || libc_fwrite(text.all().data, 1, size, stream) == size ? text.length()
                                                                                           : -1;
    return put(stream, fd, text.all()) == size ? text.length() : -1;
}

int print_plain(FILE* stream, char const* format, va_list arguments) {
    return print(stream, -1, format, arguments,
                 [=](va_list given) { return libc_vfprintf(stream, format, given); });
}

int print_checked(FILE* stream, int flag, char const* format, va_list arguments) {
    return print(stream, flag, format, arguments,
                 [=](va_list given) { return libc_vfprintf_chk(stream, flag, format, given); });
}

template <class Libc> int print_to(int fd, int flag, char const* format, va_list arguments, Libc libc) {
    if (weft::detail::current_fiber == nullptr || !on_fiber())
        return libc(arguments);
    va_list again;
    va_copy(again, arguments);
    formatted const text(flag, format, again);
    va_end(again);
    if (!text.made())
        return libc(arguments);
    return io::write(fd, text.all().data, text.all().size) == text.length() ? text.length() : -1;
}

int print_to_plain(int fd, char const* format, va_list arguments) {
    return print_to(fd, -1, format, arguments,
                    [=](va_list given) { return libc_vdprintf(fd, format, given); });
}

int print_to_checked(int fd, int flag, char const* format, va_list arguments) {
    return print_to(fd, flag, format, arguments,
                    [=](va_list given) { return libc_vdprintf_chk(fd, flag, format, given); });
}

} // namespace

bool weft::detail::flush_stream(FILE* stream) noexcept {
    if (current_fiber == nullptr || ::__fpending(stream) == 0 || stream->_mode > 0)
        return true;
    int const fd = waiting_descriptor(stream);
    if (fd < 0)
        return true; // libc's to write
    stream_turn const turn(stream);
    return write_buffered(stream, fd);
}

extern "C" {

int __overflow(FILE* stream, int character) {
    if (character == EOF)
        return flush(stream);
    return put_character(character, stream, [](int one, FILE* to) { return libc_overflow(to, one); });
}
int fputc(int character, FILE* stream) { return put_character(character, stream, libc_putc); }
int putc(int character, FILE* stream) { return put_character(character, stream, libc_putc); }
int putchar(int character) { return put_character(character, stdout, libc_putc); }
int fputc_unlocked(int character, FILE* stream) {
    return put_character(character, stream, libc_putc_unlocked);
}
int putc_unlocked(int character, FILE* stream) {
    return put_character(character, stream, libc_putc_unlocked);
}
int putchar_unlocked(int character) { return put_character(character, stdout, libc_putc_unlocked); }
int putw(int word, FILE* stream) {
    if (weft::detail::current_fiber == nullptr)
        return libc_putw(word, stream);
    return put_block(&word, sizeof word, 1, stream) == 1 ? 0 : EOF;
}

int fputs(char const* text, FILE* stream) { return put_text(text, stream); }
int fputs_unlocked(char const* text, FILE* stream) { return put_text(text, stream); }
int puts(char const* text) {
    if (weft::detail::current_fiber == nullptr)
        return libc_puts(text);
    return put_text(text, stdout) != EOF && putchar('\n') != EOF ? 1 : EOF;
}
size_t fwrite(void const* block, size_t size, size_t count, FILE* stream) {
    return put_block(block, size, count, stream);
}
size_t fwrite_unlocked(void const* block, size_t size, size_t count, FILE* stream) {
    return put_block(block, size, count, stream);
}
int fflush(FILE* stream) { return flush(stream); }
int fflush_unlocked(FILE* stream) { return flush(stream); }

int vfprintf(FILE* stream, char const* format, va_list arguments) {
    return print_plain(stream, format, arguments);
}
int vprintf(char const* format, va_list arguments) { return print_plain(stdout, format, arguments); }
int fprintf(FILE* stream, char const* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int const result = print_plain(stream, format, arguments);
    va_end(arguments);
    return result;
}
int printf(char const* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int const result = print_plain(stdout, format, arguments);
    va_end(arguments);
    return result;
}
int vdprintf(int fd, char const* format, va_list arguments) { return print_to_plain(fd, format, arguments); }
int dprintf(int fd, char const* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int const result = print_to_plain(fd, format, arguments);
    va_end(arguments);
    return result;
}

// What _FORTIFY_SOURCE makes of the names above: a format is checked by libc's version of vsnprintf.
int __vfprintf_chk(FILE* stream, int flag, char const* format, va_list arguments) {
    return print_checked(stream, flag, format, arguments);
}
int __vprintf_chk(int flag, char const* format, va_list arguments) {
    return print_checked(stdout, flag, format, arguments);
}
int __fprintf_chk(FILE* stream, int flag, char const* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int const result = print_checked(stream, flag, format, arguments);
    va_end(arguments);
    return result;
}
int __printf_chk(int flag, char const* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int const result = print_checked(stdout, flag, format, arguments);
    va_end(arguments);
    return result;
}
int __vdprintf_chk(int fd, int flag, char const* format, va_list arguments) {
    return print_to_checked(fd, flag, format, arguments);
}
int __dprintf_chk(int fd, int flag, char const* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int const result = print_to_checked(fd, flag, format, arguments);
    va_end(arguments);
    return result;
}

// libc's own other names.
// NOLINTBEGIN(readability-identifier-naming)
int _IO_putc(int character, FILE* stream) { return putc(character, stream); }
int _IO_fputs(char const* text, FILE* stream) { return put_text(text, stream); }
int _IO_puts(char const* text) { return puts(text); }
size_t _IO_fwrite(void const* block, size_t size, size_t count, FILE* stream) {
    return put_block(block, size, count, stream);
}
int _IO_fflush(FILE* stream) { return flush(stream); }
int _IO_vfprintf(FILE* stream, char const* format, va_list arguments) {
    return print_plain(stream, format, arguments);
}
int _IO_fprintf(FILE* stream, char const* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int const result = print_plain(stream, format, arguments);
    va_end(arguments);
    return result;
}
int _IO_printf(char const* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int const result = print_plain(stdout, format, arguments);
    va_end(arguments);
    return result;
}
// NOLINTEND(readability-identifier-naming)

} // extern "C"
