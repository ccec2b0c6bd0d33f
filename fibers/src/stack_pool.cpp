#include "stack_pool.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "sanitizer.hpp"

namespace weft::detail {
namespace {

#ifndef MADV_GUARD_INSTALL
constexpr int guard_install = 102;
#else
constexpr int guard_install = MADV_GUARD_INSTALL;
#endif

constexpr std::size_t slab_size = std::size_t{64} << 20;
constexpr std::size_t least_stacks_in_slab = 4;

// Of a recently freed stack, this much below its top stays: what an ordinary handler touches.
constexpr std::size_t warm_depth = std::size_t{16} << 10;
// So many recently freed stacks of a size stay warm.
constexpr std::size_t warm_stacks = 64;
// So many stacks are freed before a busy worker trims.
constexpr std::size_t dirty_limit = 256;

std::size_t round_up(std::size_t value, std::size_t unit) noexcept {
    return (value + unit - 1) / unit * unit;
}

[[noreturn]] void fail(char const* what) { throw std::system_error(errno, std::system_category(), what); }

void install_guard(char* low) {
    static std::atomic<bool> markers{true};
    if (markers.load(std::memory_order_relaxed)) {
        if (::madvise(low, stack_pool::guard_size, guard_install) == 0)
            return;
        if (errno != EINVAL)
            fail("weft: cannot guard a fiber's stack (madvise)");
        markers.store(false, std::memory_order_relaxed);
    }
    if (::mprotect(low, stack_pool::guard_size, PROT_NONE) != 0)
        fail(
            "weft: cannot guard another fiber's stack; raise vm.max_map_count (each stack takes two mappings on "
            "kernels before 6.13)");
}

char* map_slab(std::size_t size) noexcept {
    void* const slab = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (slab == MAP_FAILED)
        return nullptr;
    // A huge page would make every stack in it resident.
    ::madvise(slab, size, MADV_NOHUGEPAGE);
    return static_cast<char*>(slab);
}

// An odd number of pages apart: at a power of two, the same page of every stack would fall into the same few sets of the
// TLB (and of the L2 cache), which a few dozen running fibers overflow.
std::size_t stride_of(std::size_t size) noexcept {
    auto const page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return size / page % 2 == 0 ? size + page : size;
}

std::size_t stacks_in_slab(std::size_t stride) noexcept {
    return std::max(slab_size / stride, least_stacks_in_slab);
}

} // namespace

stack_pool::~stack_pool() {
    for (auto const& sizes : classes_)
        for (char* const slab : sizes->slabs)
            ::munmap(slab, stacks_in_slab(sizes->stride) * sizes->stride);
}

stack_pool::size_class& stack_pool::class_of(std::size_t size) {
    for (auto const& sizes : classes_)
        if (sizes->size == size)
            return *sizes;
    classes_.push_back(std::make_unique<size_class>());
    classes_.back()->size = size;
    classes_.back()->stride = stride_of(size);
    return *classes_.back();
}

void stack_pool::add_slab(size_class& sizes) {
    std::size_t const size = stacks_in_slab(sizes.stride) * sizes.stride;
    sizes.slabs.reserve(sizes.slabs.size() + 1);
    char* const slab = map_slab(size);
    if (slab == nullptr)
        fail(
            "weft: cannot map memory for more fiber stacks; lower the stack size, or raise the limits on address "
            "space (ulimit -v) and mappings (vm.max_map_count)");
    sizes.slabs.push_back(slab);
    // Now, so that release() never has to allocate.
    sizes.free.reserve(sizes.slabs.size() * stacks_in_slab(sizes.stride));
    sizes.fresh = slab;
    sizes.fresh_end = slab + size;
}

stack_memory stack_pool::allocate(std::size_t size) {
    auto const page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    size = round_up(std::max(size, smallest_stack), page);
    size_class& sizes = class_of(size);
    if (sizes.free.empty())
        take_returned();
    char* low = nullptr;
    if (!sizes.free.empty()) {
        low = sizes.free.back().low;
        if (sizes.free.back().dirty)
            --dirty_;
        sizes.free.pop_back();
        sizes.clean = std::min(sizes.clean, sizes.free.size());
    } else {
        if (sizes.fresh == sizes.fresh_end)
            add_slab(sizes);
        install_guard(sizes.fresh);
        low = std::exchange(sizes.fresh, sizes.fresh + sizes.stride);
    }
    ++leased_;
    return {.pool = this, .low = low + guard_size, .size = size - guard_size};
}

void stack_pool::release(stack_memory stack) noexcept {
    size_class& sizes = class_of(stack.size + guard_size);
    forget_stack_frames(stack.low, stack.size);
    sizes.free.push_back({.low = stack.low - guard_size, .dirty = true});
    --leased_;
    if (++dirty_ >= dirty_limit)
        trim();
}

void stack_pool::release_remote(stack_memory stack) noexcept {
    forget_stack_frames(stack.low, stack.size);
    std::unique_lock lock(mutex_);
    if (!abandoned_) {
        void* const place =
            stack.low + stack.size - round_up(sizeof(returned_stack), alignof(std::max_align_t));
        returned_ = new (place) returned_stack{.next = returned_, .stack = stack};
        return;
    }
    bool const last = --leased_ == 0;
    lock.unlock();
    if (last)
        delete this;
}

void stack_pool::take_returned() noexcept {
    std::unique_lock lock(mutex_);
    returned_stack* next = std::exchange(returned_, nullptr);
    lock.unlock();
    while (next != nullptr) {
        stack_memory const stack = next->stack;
        next = next->next;
        release(stack);
    }
}

void stack_pool::trim_class(size_class& sizes) noexcept {
    std::size_t const count = sizes.free.size();
    std::size_t const cold = count > warm_stacks ? count - warm_stacks : 0;
    std::size_t const used = sizes.size - guard_size;
    for (std::size_t i = sizes.clean; i < count; ++i) {
        free_stack& stack = sizes.free[i];
        std::size_t const kept = i < cold ? 0 : std::min(warm_depth, used);
        if (used > kept && (stack.dirty || i < cold))
            ::madvise(stack.low + guard_size, used - kept, MADV_DONTNEED);
        stack.dirty = false;
    }
    sizes.clean = std::max(sizes.clean, cold);
}

void stack_pool::trim() noexcept {
    for (auto const& sizes : classes_)
        trim_class(*sizes);
    dirty_ = 0;
}

void stack_pool::trim_below(stack_memory stack, char const* frame) noexcept {
    if (frame == nullptr) // it has not run
        return;
    auto const used = static_cast<std::size_t>(frame - stack.low);
    if (used > warm_depth)
        ::madvise(stack.low, (used - warm_depth) & ~(std::size_t{4096} - 1), MADV_DONTNEED);
}

void stack_pool::abandon() noexcept {
    take_returned();
    std::unique_lock lock(mutex_);
    abandoned_ = true;
    // A stack may have come back since take_returned().
    for (returned_stack* next = returned_; next != nullptr; next = next->next)
        --leased_;
    bool const last = leased_ == 0;
    lock.unlock();
    if (last)
        delete this;
}

} // namespace weft::detail
