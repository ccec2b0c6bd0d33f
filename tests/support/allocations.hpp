// Counts what operator new has given and delete has not got back. For one source file of a test program. AddressSanitizer has its own operators, and
// finds leaks itself: nothing is counted then.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace support {

inline std::atomic<long> allocations_alive{0};

} // namespace support

#ifndef __SANITIZE_ADDRESS__
// NOLINTBEGIN(misc-definitions-in-headers,cppcoreguidelines-no-malloc): included once, as said above
void* operator new(std::size_t size) {
    void* const memory = std::malloc(size != 0 ? size : 1);
    if (memory == nullptr)
        throw std::bad_alloc();
    ++support::allocations_alive;
    return memory;
}

void operator delete(void* memory) noexcept {
    if (memory != nullptr)
        --support::allocations_alive;
    std::free(memory);
}

void operator delete(void* memory, std::size_t /*size*/) noexcept { operator delete(memory); }
// NOLINTEND(misc-definitions-in-headers,cppcoreguidelines-no-malloc)
#endif
