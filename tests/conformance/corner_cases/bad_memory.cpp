#include "bad_memory.hpp"

#include <sys/mman.h>

#include "corner_case.hpp"

namespace corner {
namespace {

constexpr std::size_t page = 4096;

char* map(std::size_t size, int protection) {
    void* const made = ::mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(made != MAP_FAILED);
    return static_cast<char*>(made);
}

} // namespace

std::array<bad_address, 8> bad_addresses(std::size_t mapped) {
    // Where nothing is mapped by itself: a hole between two mappings would be found by the next one.
    auto* const unmapped = reinterpret_cast<char*>(0x4242'0000);
    static char* const last_page = [] {
        char* const made = map(2 * page, PROT_READ | PROT_WRITE);
        REQUIRE(::mprotect(made + page, page, PROT_NONE) == 0);
        return made;
    }();
    static char* const read_only = map(page, PROT_READ);
    static char* const forbidden = map(page, PROT_NONE);
    return {{{"null", nullptr},
             {"one", reinterpret_cast<void*>(1)},
             {"not canonical", reinterpret_cast<void*>(0xdead'0000'0000'0000)},
             {"the kernel's", reinterpret_cast<void*>(0xffff'ffff'8000'0000)},
             {"unmapped", unmapped},
             {"straddling", last_page + page - mapped},
             {"read-only", read_only},
             {"forbidden", forbidden}}};
}

} // namespace corner
