#include <pthread.h>

#include <array>
#include <atomic>
#include <cstdint>

#include <weft/detail/parking_lot.hpp>
#include <weft/detail/spinlock.hpp>

namespace weft::detail {

struct alignas(64) lot_guard::bucket {
    spinlock lock;
    waiter* first = nullptr; // lot_waiters
    waiter* last = nullptr;
};

struct lot_table {
    static constexpr std::size_t bits = 9;

    void forget_all() noexcept;

    std::array<lot_guard::bucket, std::size_t{1} << bits> buckets;
};

namespace {

struct deferred_call {
    void const* address = nullptr;
    void (*call)(void const*) noexcept = nullptr;
    std::size_t times = 0;
};

constexpr std::size_t most_deferred =
    64; // addresses, in the few instructions of a guard: one for each signal

struct thread_state {
    bool volatile guarded = false;
    std::size_t volatile deferred = 0;
    std::array<deferred_call, most_deferred> calls{};
};

constinit thread_local thread_state here __attribute__((tls_model("initial-exec")));

// Locks are taken before any constructor has run.
constinit lot_table table{};

// In the child of a fork nobody waits: who did is not in it.
[[gnu::constructor]] void watch_forks() {
    ::pthread_atfork(nullptr, nullptr, [] {
        table.forget_all();
        here.guarded = false;
        here.deferred = 0;
    });
}

} // namespace

lot_guard::bucket& lot_guard::bucket_of(void const* address) noexcept {
    constexpr std::uint64_t golden = 0x9E37'79B9'7F4A'7C15; // multiplicative hashing
    auto const hash = reinterpret_cast<std::uintptr_t>(address) * golden;
    return table.buckets[hash >> (64 - lot_table::bits)];
}

lot_guard::lot_guard(void const* address) noexcept : address_(address), bucket_(bucket_of(address)) {
    here.guarded = true;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    bucket_.lock.lock();
}

void lot_guard::unlock() noexcept {
    held_ = false;
    bucket_.lock.unlock();
    std::atomic_signal_fence(std::memory_order_seq_cst);
    here.guarded = false;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    while (here.deferred > 0) {
        here.deferred = here.deferred - 1;
        deferred_call const next = here.calls[here.deferred];
        for (std::size_t i = 0; i < next.times; ++i)
            next.call(next.address);
    }
}

bool defer_in_handler(void const* address, void (*later)(void const*) noexcept) noexcept {
    if (!here.guarded)
        return false;
    for (std::size_t i = 0; i < here.deferred; ++i)
        if (here.calls[i].address == address) {
            ++here.calls[i].times;
            return true;
        }
    if (here.deferred < most_deferred) {
        here.calls[here.deferred] = {address, later, 1};
        here.deferred = here.deferred + 1;
    }
    return true;
}

void lot_guard::enqueue(lot_waiter& self) noexcept {
    self.begin();
    self.previous = bucket_.last;
    self.next = nullptr;
    (bucket_.last != nullptr ? bucket_.last->next : bucket_.first) = &self;
    bucket_.last = &self;
    self.linked = true;
}

bool lot_guard::erase(lot_waiter& self) noexcept {
    if (!self.linked)
        return false;
    (self.previous != nullptr ? self.previous->next : bucket_.first) = self.next;
    (self.next != nullptr ? self.next->previous : bucket_.last) = self.previous;
    self.linked = false;
    return true;
}

lot_waiter* lot_guard::next_at_address(lot_waiter const* after) const noexcept {
    auto* each = static_cast<lot_waiter*>(after == nullptr ? bucket_.first : after->next);
    while (each != nullptr && each->address != address_)
        each = static_cast<lot_waiter*>(each->next);
    return each;
}

bool lot_guard::take(lot_waiter& one, claimed_waiters& woken) noexcept {
    erase(one);
    if (!one.claim())
        return false;
    one.next = woken.first;
    woken.first = &one;
    ++woken.count;
    return true;
}

claimed_waiters lot_guard::take_first(std::ptrdiff_t most) noexcept {
    claimed_waiters woken;
    waiter** end = &woken.first;
    while (woken.count < most) {
        lot_waiter* const one = first();
        if (one == nullptr)
            break;
        erase(*one);
        if (!one->claim())
            continue;
        one->next = nullptr;
        *end = one;
        end = &one->next;
        ++woken.count;
    }
    return woken;
}

void lot_table::forget_all() noexcept {
    for (auto& each : buckets) {
        each.lock.unlock();
        each.first = each.last = nullptr;
    }
}

} // namespace weft::detail
