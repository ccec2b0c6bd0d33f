#include "fiber_locals.hpp"

#include <cxxabi.h>

#include <atomic>
#include <utility>

#include <weft/detail/fiber_core.hpp>

// NOLINTNEXTLINE(readability-identifier-naming): the C++ ABI's
extern "C" void* __dso_handle; // this library: it is not unloaded before the threads that have values end

namespace weft::detail {
namespace {

// A plain thread's; null: none yet, or none any more. No object with a destructor: the destructors of others, which come after it, may
// use values, too, and then there are some once more.
__thread fiber_locals* locals_of_thread = nullptr;

void end_locals_of_thread(void* /*nothing*/) {
    locals_of_thread->clear();
    delete std::exchange(locals_of_thread, nullptr);
}

fiber_locals& obtain_locals_of_thread() {
    if (locals_of_thread == nullptr) {
        locals_of_thread = new fiber_locals;
        abi::__cxa_thread_atexit(end_locals_of_thread, nullptr, &__dso_handle);
    }
    return *locals_of_thread;
}

fiber_locals* find_locals() noexcept {
    return current_fiber != nullptr ? current_fiber->locals : locals_of_thread;
}

fiber_locals& obtain_locals() {
    if (current_fiber == nullptr)
        return obtain_locals_of_thread();
    if (current_fiber->locals == nullptr)
        current_fiber->locals = new fiber_locals;
    return *current_fiber->locals;
}

fiber_locals::entry* find_entry(local_key key) noexcept {
    if (fiber_locals* const locals = find_locals())
        for (fiber_locals::entry& each : locals->entries)
            if (each.key == key)
                return &each;
    return nullptr;
}

} // namespace

void fiber_locals::clear() noexcept {
    while (!entries.empty()) {
        entry const last = entries.back();
        entries.pop_back();
        last.destroy(last.value);
    }
}

// Still the fiber's while they end: destructors may look at values that are left, and make new ones.
void end_locals(fiber_core& fiber) noexcept {
    if (fiber.locals == nullptr)
        return;
    fiber.locals->clear();
    delete std::exchange(fiber.locals, nullptr);
}

local_key make_local_key() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return local_key{last.fetch_add(1, std::memory_order_relaxed)};
}

void* find_local(local_key key) noexcept {
    fiber_locals::entry const* const found = find_entry(key);
    return found != nullptr ? found->value : nullptr;
}

void set_local(local_key key, void* value, void (*destroy)(void*) noexcept) {
    obtain_locals().entries.push_back({.key = key, .value = value, .destroy = destroy});
}

void reset_local(local_key key) noexcept {
    fiber_locals::entry* const found = find_entry(key);
    if (found == nullptr)
        return;
    fiber_locals::entry const gone = *found;
    auto& entries = find_locals()->entries;
    entries.erase(entries.begin() + (found - entries.data()));
    gone.destroy(gone.value);
}

} // namespace weft::detail
