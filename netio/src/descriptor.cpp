#include "descriptor.hpp"

#include <algorithm>
#include <array>
#include <new>

#include "epoll_engine.hpp"

namespace weft::detail {
namespace {

constexpr unsigned chunk_bits = 10;
constexpr unsigned chunk_size = 1U << chunk_bits;
constexpr unsigned descriptor_bits = 30; // the kernel's own limit, fs.nr_open, goes no higher

struct chunk {
    std::array<descriptor, chunk_size> entries;
};

// Static and zero: the pages of the directory are touched only where there are descriptors.
std::array<std::atomic<chunk*>, std::size_t{1} << (descriptor_bits - chunk_bits)> directory;
std::atomic<unsigned> known_end{0}; // no chunk begins at this number or later

descriptor& entry_in(chunk& where, unsigned number) noexcept { return where.entries[number % chunk_size]; }

chunk* make_chunk(unsigned number) noexcept {
    auto* made = new (std::nothrow) chunk;
    if (made == nullptr)
        return nullptr;
    chunk* present = nullptr;
    if (!directory[number >> chunk_bits].compare_exchange_strong(present, made, std::memory_order_acq_rel)) {
        delete made;
        return present;
    }
    unsigned const end = (number | (chunk_size - 1)) + 1;
    unsigned known = known_end.load(std::memory_order_relaxed);
    while (known < end && !known_end.compare_exchange_weak(known, end, std::memory_order_acq_rel)) {
    }
    return made;
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

descriptor* known_descriptor(int fd) noexcept {
    auto const number = static_cast<unsigned>(fd);
    if (number >> descriptor_bits != 0)
        return nullptr;
    chunk* const where = directory[number >> chunk_bits].load(std::memory_order_acquire);
    return where != nullptr ? &entry_in(*where, number) : nullptr;
}

descriptor* find_descriptor(int fd) noexcept {
    if (descriptor* const known = known_descriptor(fd))
        return known;
    auto const number = static_cast<unsigned>(fd);
    if (number >> descriptor_bits != 0)
        return nullptr;
    chunk* const made = make_chunk(number);
    return made != nullptr ? &entry_in(*made, number) : nullptr;
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

void descriptors_forked() noexcept {
    unsigned const end = known_end.load(std::memory_order_acquire);
    for (unsigned number = 0; number < end; ++number) {
        descriptor* const entry = known_descriptor(static_cast<int>(number));
        if (entry != nullptr && (entry->flags.load(std::memory_order_relaxed) & descriptor::tracked) != 0)
            set_flag(*entry, descriptor::shared, true);
    }
}

void set_flag(descriptor& entry, std::uint32_t flag, bool on) noexcept {
    if (on)
        entry.flags.fetch_or(flag, std::memory_order_acq_rel);
    else
        entry.flags.fetch_and(~flag, std::memory_order_acq_rel);
}

} // namespace weft::detail
