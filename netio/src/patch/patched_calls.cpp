#include "patched_calls.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <cstdio>

// Addresses only: what the functions take is no matter here, and some names no header declares.
// NOLINTBEGIN(cppcoreguidelines-macro-usage): names become symbols and strings, which only the preprocessor can do
#define CALL(name, kind) extern "C" void weft_address_of_##name() __asm__(#name);
#include "patched_calls.inc"
#undef CALL

namespace weft::detail {
namespace {

constexpr std::array calls{
#define CALL(name, kind) patched_call{#name, call_kind::kind, &weft_address_of_##name},
#include "patched_calls.inc"
#undef CALL
};
// NOLINTEND(cppcoreguidelines-macro-usage)

// Two layers in one process would each take the other for libc.
[[gnu::constructor]] void refuse_second_layer() {
    void* const preloaded = ::dlsym(RTLD_DEFAULT, "weft_preloaded");
    Dl_info theirs{};
    Dl_info ours{};
    if (preloaded == nullptr || ::dladdr(preloaded, &theirs) == 0 ||
        ::dladdr(reinterpret_cast<void*>(&refuse_second_layer), &ours) == 0 ||
        theirs.dli_fbase == ours.dli_fbase)
        return;
    std::fputs("weft: the program is linked with weft::patch; run it as it is, not under weft run\n", stderr);
    ::_exit(126);
}

} // namespace

std::span<patched_call const> patched_calls() noexcept { return calls; }

char const* first_unpatched_call() noexcept {
    for (patched_call const& each : calls)
        if (::dlsym(RTLD_DEFAULT, each.name) != reinterpret_cast<void*>(each.address))
            return each.name;
    return nullptr;
}

} // namespace weft::detail
