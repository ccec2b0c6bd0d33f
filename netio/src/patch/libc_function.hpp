// libc_function: libc's own function behind a name that this layer defines.
//
// A call is one indirect jump: the pointer starts out at a resolver, which looks the name up with dlsym(RTLD_NEXT) and
// replaces itself, so no check is needed later, and calls work before any constructor has run.
//
// Threads: any; two that resolve at once write the same value.
#pragma once

#include <dlfcn.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace weft::detail {

template <std::size_t Size> struct function_name {
    // NOLINTNEXTLINE(google-explicit-constructor): that a literal converts is its purpose
    consteval function_name(char const (&literal)[Size]) {
        for (std::size_t i = 0; i < Size; ++i)
            text[i] = literal[i];
    }

    char text[Size] = {};
};

inline void* find_next(char const* name) noexcept {
    void* const found = ::dlsym(RTLD_NEXT, name);
    if (found == nullptr) {
        std::fprintf(stderr,
                     "weft: libc's %s was not found behind the patched one; link the program dynamically\n",
                     name);
        std::abort();
    }
    return found;
}

template <function_name Name, class Signature> class libc_function;

template <function_name Name, class Result, class... Arguments>
class libc_function<Name, Result(Arguments...)> {
public:
    using pointer = Result (*)(Arguments...);

    Result operator()(Arguments... arguments) const {
        return target.load(std::memory_order_relaxed)(arguments...);
    }

private:
    static Result resolve(Arguments... arguments) {
        auto const found = reinterpret_cast<pointer>(find_next(Name.text));
        target.store(found, std::memory_order_relaxed);
        return found(arguments...);
    }

    static inline constinit std::atomic<pointer> target{&resolve};
};

} // namespace weft::detail
