#include "patched_calls.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iterator>

// Addresses only: what the functions take is no matter here, and some names no header declares.
// NOLINTBEGIN(cppcoreguidelines-macro-usage): names become symbols and strings, which only the preprocessor can do
#define CALL(name, kind) extern "C" void weft_address_of_##name() __asm__(#name);
#include "patched_calls.inc"
#undef CALL

namespace weft::detail {
namespace {

constexpr patched_call calls[] = {
#define CALL(name, kind) patched_call{#name, call_kind::kind, &weft_address_of_##name},
#include "patched_calls.inc"
#undef CALL
};
// NOLINTEND(cppcoreguidelines-macro-usage)

// patch_layer_section: an ELF note of our own name, without contents.
struct elf_note {
    std::uint32_t name_size = sizeof name;
    std::uint32_t contents_size = 0;
    std::uint32_t type = 1;
    char name[8] = "weft";
};
[[gnu::section(".note.weft"), gnu::used]] alignas(4) constexpr elf_note layer_note;

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

bool is_in(void const* address, link_map const& file) noexcept {
    Dl_info info{};
    return ::dladdr(address, &info) != 0 && info.dli_fbase == reinterpret_cast<void*>(file.l_addr);
}

// The function that calls of `name` reach.
void* find_call(void* program, char const* name) noexcept {
    void* const found = ::dlsym(program, name);
    Dl_info info{};
    ElfW(Sym) const* symbol = nullptr;
    link_map* first = nullptr;
    bool const defined = ::dladdr1(found, &info, reinterpret_cast<void**>(const_cast<ElfW(Sym)**>(&symbol)),
                                   RTLD_DL_SYMENT) == 0 ||
                         symbol == nullptr || symbol->st_shndx != SHN_UNDEF;
    if (defined || ::dlinfo(program, RTLD_DI_LINKMAP, &first) != 0)
        return found;
    // A program at a fixed address that takes the function's: it finds its own jump to whoever defines it first.
    for (link_map* file = first->l_next; file != nullptr; file = file->l_next) {
        void* const handle = ::dlopen(file->l_name, RTLD_LAZY | RTLD_NOLOAD);
        if (handle == nullptr)
            continue;
        void* const here = ::dlsym(handle, name); // looks in what the file needs, too
        ::dlclose(handle);
        if (here != nullptr && is_in(here, *file))
            return here;
    }
    return found;
}

// Whether it is a function that the program defines itself, as it does without weft. (Where weft is linked into the program, its
// names are ours.)
bool is_the_programs(void const* function) noexcept {
    Dl_info theirs{};
    Dl_info program{};
    return ::dladdr(function, &theirs) != 0 &&
           ::dladdr(reinterpret_cast<void const*>(::getauxval(AT_PHDR)), &program) != 0 &&
           theirs.dli_fbase == program.dli_fbase;
}

} // namespace

std::span<patched_call const> patched_calls() noexcept { return calls; }

char const* first_unpatched_call() noexcept {
    // As another library would find it. RTLD_DEFAULT is where *this* one looks: in itself first, where it is linked so.
    void* const program = ::dlopen(nullptr, RTLD_LAZY);
    auto const unpatched =
        std::find_if(std::begin(calls), std::end(calls), [program](patched_call const& each) {
            void* const reached = find_call(program, each.name);
            return reached != reinterpret_cast<void*>(each.address) && !is_the_programs(reached);
        });
    ::dlclose(program);
    return unpatched != std::end(calls) ? unpatched->name : nullptr;
}

} // namespace weft::detail
