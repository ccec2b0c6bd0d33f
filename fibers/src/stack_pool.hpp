// stack_pool: the stacks of one worker's fibers, cut from large slabs.
//
// Layout: a slab is one mapping of many stacks of one size class; each stack has its guard at the low end. Guards are
// page-table markers (MADV_GUARD_INSTALL, Linux 6.13), which split no mapping, so that the number of guarded stacks
// isn't bounded by vm.max_map_count; on older kernels they are mprotect(PROT_NONE) pages, two mappings a stack.
//
// Freed stacks are used again last in, first out. Memory that they touched is given back to the system by trim():
// of the most recently freed ones what lies deeper than a few pages, of the others all.
//
// Threads: allocate, release and trim on the owning worker's thread; release_remote from any, also after the worker
// is gone: the pool ends with its last stack.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

class stack_pool {
public:
    static constexpr std::size_t guard_size = 16 * 1024;
    static constexpr std::size_t smallest_stack = 32 * 1024;

    // The pool lives until abandon() and the return of every stack.
    static stack_pool* create() { return new stack_pool; }

    stack_pool(stack_pool const&) = delete;
    stack_pool& operator=(stack_pool const&) = delete;

    // A stack of `size` bytes of address space, guard included; zeroes, or what its last user left. Throws
    // std::system_error if the system gives no memory.
    stack_memory allocate(std::size_t size);

    void release(stack_memory stack) noexcept;

    // As release(), from another thread or after abandon().
    void release_remote(stack_memory stack) noexcept;

    // Gives back memory that freed stacks touched. Cheap if nothing was freed since the last time.
    void trim() noexcept;
    [[nodiscard]] bool wants_trim() const noexcept { return dirty_ != 0; }

    // Of a stack that is out, and suspended at `frame`: gives back what lies deeper than a few pages below it.
    static void trim_below(stack_memory stack, char const* frame) noexcept;

    // The worker ends.
    void abandon() noexcept;

private:
    struct free_stack {
        char* low;
        bool dirty; // touched since it was trimmed
    };

    struct size_class {
        std::size_t size;         // with guard
        std::size_t stride;       // from one stack to the next
        std::vector<char*> slabs; // their starts, to be unmapped
        char* fresh = nullptr;    // never used part of the newest slab: [fresh, fresh_end)
        char* fresh_end = nullptr;
        std::vector<free_stack> free; // the last one freed is at the end
        std::size_t clean = 0;        // free[0, clean) hold no memory at all
    };

    // Written into a returned stack's own memory, at its top: that page was touched by its fiber.
    struct returned_stack {
        returned_stack* next;
        stack_memory stack;
    };

    stack_pool() = default;
    ~stack_pool();

    size_class& class_of(std::size_t size);
    void add_slab(size_class& sizes);
    void take_returned() noexcept;
    static void trim_class(size_class& sizes) noexcept;

    std::vector<std::unique_ptr<size_class>> classes_;
    std::size_t leased_ = 0; // stacks out, less those in returned_
    std::size_t dirty_ = 0;  // freed since the last trim

    std::mutex mutex_; // guards the rest; std::mutex, because nothing here runs patched calls or switches
    returned_stack* returned_ = nullptr;
    bool abandoned_ = false;
};

} // namespace weft::detail
