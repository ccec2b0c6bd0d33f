// descriptor: what weft remembers of one file descriptor number of the process.
//
// Nothing here may silently go stale, because libc and other code close and open descriptors that we don't see:
//   1. Every open, close and duplicate that we do see renews the number: the generation goes up, and what was known is
//      forgotten. A wait remembers the generation it began with; if it changed, the wait ends with EBADF.
//   2. Flags are trusted only on a `tracked` number, one that a call of ours opened, and that no fork or dup has made
//      `shared`. Of others, the kernel is asked again before each wait.
//   3. Engines look now and then whether what fibers wait on is still the file that they have registered.
//   4. A wrong guess about the kind shows as ENOTSOCK, and is forgotten.
//
// Threads: any.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace weft::detail {

struct descriptor {
    enum flag : std::uint32_t {
        tracked = 1U << 0,
        shared = 1U << 1, // others may hold the same open file: flags may change, a close may not be the last
        nonblocking = 1U << 2, // O_NONBLOCK, set by the program: EAGAIN is for it
        socket = 1U << 3,
        stream = 1U << 4,          // a socket that has no message boundaries
        tcp = 1U << 5,             // a stream whose short reads mean that it is drained
        timed = 1U << 6,           // SO_RCVTIMEO or SO_SNDTIMEO is set
        no_nowait = 1U << 7,       // RWF_NOWAIT was refused
        accepting = 1U << 8,       // a worker is between poll and accept
        own_nonblocking = 1U << 9, // O_NONBLOCK, set by us on a socket of our own: calls wait all the same
        hidden = 1U << 10,         // an engine's: to the program, the number is not open
        pipe = 1U << 11,           // can be waited for, as no file on a disk can
        packets = 1U << 12, // a pipe that keeps writes apart (O_DIRECT); its end for reading doesn't say so
    };

    std::atomic<std::uint32_t> generation{1};
    std::atomic<std::uint32_t> flags{0};
    // Which engines have, or had, this generation registered; see epoll_engine::bit().
    std::atomic<std::uint64_t> engines{0};

    // What is known of a file, and not of its use by us.
    static constexpr std::uint32_t kind =
        tracked | shared | nonblocking | socket | stream | tcp | timed | no_nowait | pipe | packets;

    // Whether flags say all there is to know.
    static bool trusted(std::uint32_t flags) noexcept { return (flags & (tracked | shared)) == tracked; }
};

constexpr unsigned descriptor_bits = 30; // the kernel's own limit, fs.nr_open, goes no higher
constexpr unsigned descriptor_chunk_bits = 10;

struct descriptor_chunk {
    std::array<descriptor, std::size_t{1} << descriptor_chunk_bits> entries;
};

// Static and zero: the pages of the directory are touched only where there are descriptors. Plain pointers, because
// compilers give up on initializing so many atomics statically; accessed through chunk_of() alone.
using descriptor_directory =
    std::array<descriptor_chunk*, std::size_t{1} << (descriptor_bits - descriptor_chunk_bits)>;
extern descriptor_directory descriptors;

inline std::atomic_ref<descriptor_chunk*> chunk_of(unsigned number) noexcept {
    return std::atomic_ref(descriptors[number >> descriptor_chunk_bits]);
}

// The entry of `fd` if there has ever been one; valid for ever.
inline descriptor* known_descriptor(int fd) noexcept {
    auto const number = static_cast<unsigned>(fd);
    if (number >> descriptor_bits != 0)
        return nullptr;
    descriptor_chunk* const where = chunk_of(number).load(std::memory_order_acquire);
    return where != nullptr ? &where->entries[number % where->entries.size()] : nullptr;
}

// As above; makes the entry if there is none. Null for a number that can't be open.
descriptor* make_descriptor(int fd) noexcept;
inline descriptor* find_descriptor(int fd) noexcept {
    descriptor* const known = known_descriptor(fd);
    return known != nullptr ? known : make_descriptor(fd);
}

// Whether `fd` is weft's own, so that to the program it is not open.
inline bool is_hidden(int fd) noexcept {
    descriptor const* const entry = known_descriptor(fd);
    return entry != nullptr && (entry->flags.load(std::memory_order_relaxed) & descriptor::hidden) != 0;
}

// A call of ours has opened `fd`; `flags` without `tracked`.
void descriptor_opened(int fd, std::uint32_t flags) noexcept;

// `fd` is about to be closed or replaced by a call of ours, or was closed behind our back: wakes those who wait on it,
// on any worker, and takes it out of the engines if its file lives on elsewhere. Not to be called with a hidden one.
void descriptor_closing(int fd) noexcept;

void descriptors_closing(unsigned first, unsigned last) noexcept;

// Moves `fd`, an engine's, out of the way of the program's own descriptors, and hides it: returns the new number, or -1
// with errno, and closes the old one.
int hide_descriptor(int fd) noexcept;

// The first hidden number from `first` to `last`; nothing if there is none.
std::optional<unsigned> next_hidden(unsigned first, unsigned last) noexcept;

// `to` is a duplicate of `from` now.
void descriptor_duplicated(int from, int to) noexcept;

// The process was forked: whoever has the other copy can change what is shared. In the child no engine knows any of them.
void descriptors_forked(bool child) noexcept;

void set_flag(descriptor& entry, std::uint32_t flag, bool on) noexcept;

} // namespace weft::detail
