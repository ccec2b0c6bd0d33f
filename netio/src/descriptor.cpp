#include "descriptor.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "epoll_engine.hpp"
#include "sys.hpp"

namespace weft::detail {

descriptor_directory descriptors;

namespace {

std::atomic<unsigned> known_end{0}; // no chunk begins at this number or later

// Where weft's own descriptors go: above what most programs use, so that theirs get the numbers that they would get
// without weft, and below what they may be limited to.
int hidden_numbers() noexcept {
    constexpr rlim_t usual = 1024;
    rlimit limit{};
    rlim_t const end = ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? std::min(limit.rlim_cur, usual) : usual;
    return static_cast<int>(end - end / 8);
}

// Ends the present generation: forgets what was known, wakes who waits.
void renew(int fd, descriptor& entry) noexcept {
    std::uint32_t const flags = entry.flags.exchange(0, std::memory_order_seq_cst);
    std::uint32_t const ended = entry.generation.fetch_add(1, std::memory_order_seq_cst);
    std::uint64_t const engines = entry.engines.exchange(0, std::memory_order_seq_cst);
    if (engines != 0)
        epoll_engine::end_generation(fd, ended, engines, !descriptor::trusted(flags));
}

} // namespace

descriptor* make_descriptor(int fd) noexcept {
    auto const number = static_cast<unsigned>(fd);
    if (number >> descriptor_bits != 0)
        return nullptr;
    auto* made = new (std::nothrow) descriptor_chunk;
    if (made == nullptr)
        return nullptr;
    descriptor_chunk* present = nullptr;
    if (!chunk_of(number).compare_exchange_strong(present, made, std::memory_order_acq_rel)) {
        delete made;
        return known_descriptor(fd);
    }
    unsigned const end = ((number >> descriptor_chunk_bits) + 1) << descriptor_chunk_bits;
    unsigned known = known_end.load(std::memory_order_relaxed);
    while (known < end && !known_end.compare_exchange_weak(known, end, std::memory_order_acq_rel)) {
    }
    return known_descriptor(fd);
}

void descriptor_opened(int fd, std::uint32_t flags) noexcept {
    descriptor* const entry = find_descriptor(fd);
    if (entry == nullptr)
        return;
    renew(fd, *entry);
    entry->flags.store(flags | descriptor::tracked, std::memory_order_release);
}

void descriptor_closing(int fd) noexcept {
    if (descriptor* const entry = known_descriptor(fd))
        renew(fd, *entry);
}

void descriptors_closing(unsigned first, unsigned last) noexcept {
    unsigned const end = known_end.load(std::memory_order_acquire);
    for (unsigned number = first; number < end && number <= last; ++number)
        descriptor_closing(static_cast<int>(number));
}

int hide_descriptor(int fd) noexcept {
    if (fd < 0)
        return -1;
    int moved = sys::control(fd, F_DUPFD_CLOEXEC, hidden_numbers());
    if (moved < 0)
        moved = sys::control(fd, F_DUPFD_CLOEXEC, 0);
    int const error = errno;
    sys::close(fd);
    errno = error;
    if (moved < 0)
        return -1;
    descriptor* const entry = find_descriptor(moved);
    if (entry == nullptr) {
        sys::close(moved);
        errno = ENOMEM;
        return -1;
    }
    renew(moved, *entry);
    entry->flags.store(descriptor::hidden, std::memory_order_release);
    return moved;
}

std::optional<unsigned> next_hidden(unsigned first, unsigned last) noexcept {
    unsigned const end = known_end.load(std::memory_order_acquire);
    for (unsigned number = first; number < end && number <= last; ++number)
        if (is_hidden(static_cast<int>(number)))
            return number;
    return std::nullopt;
}

void descriptor_duplicated(int from, int to) noexcept {
    descriptor* const original = find_descriptor(from);
    descriptor* const duplicate = find_descriptor(to);
    if (original == nullptr || duplicate == nullptr)
        return;
    set_flag(*original, descriptor::shared, true);
    renew(to, *duplicate);
    constexpr std::uint32_t per_number = descriptor::accepting;
    duplicate->flags.store(original->flags.load(std::memory_order_acquire) & ~per_number,
                           std::memory_order_release);
}

void descriptors_forked(bool child) noexcept {
    unsigned const end = known_end.load(std::memory_order_acquire);
    for (unsigned number = 0; number < end; ++number) {
        descriptor* const entry = known_descriptor(static_cast<int>(number));
        if (entry == nullptr)
            continue;
        if ((entry->flags.load(std::memory_order_relaxed) & descriptor::tracked) != 0)
            set_flag(*entry, descriptor::shared, true);
        if (child)
            entry->engines.store(0, std::memory_order_relaxed);
    }
}

void set_flag(descriptor& entry, std::uint32_t flag, bool on) noexcept {
    if (on)
        entry.flags.fetch_or(flag, std::memory_order_acq_rel);
    else
        entry.flags.fetch_and(~flag, std::memory_order_acq_rel);
}

} // namespace weft::detail
