#include "elf_file.hpp"

#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <weft/detail/call_table.hpp>

namespace weft::services {
namespace {

#if defined(__x86_64__)
constexpr int machine = EM_X86_64;
#else
constexpr int machine = EM_AARCH64;
#endif

// Calls `use` for each entry of the sections of `type`, until it returns false.
template <class Entry, class Get>
void each_entry(Elf* elf, std::initializer_list<GElf_Word> types, Get get,
                std::function<bool(GElf_Shdr const& section, Entry const& entry)> const& use) {
    for (Elf_Scn* place = ::elf_nextscn(elf, nullptr); place != nullptr; place = ::elf_nextscn(elf, place)) {
        GElf_Shdr section{};
        if (::gelf_getshdr(place, &section) == nullptr || section.sh_entsize == 0)
            continue;
        bool wanted = false;
        for (GElf_Word const type : types)
            wanted = wanted || section.sh_type == type;
        Elf_Data* const data = wanted ? ::elf_getdata(place, nullptr) : nullptr;
        if (data == nullptr || data->d_buf == nullptr)
            continue;
        std::size_t const count = data->d_size / section.sh_entsize;
        Entry entry{};
        for (std::size_t i = 0; i < count && get(data, static_cast<int>(i), &entry) != nullptr; ++i)
            if (!use(section, entry))
                return;
    }
}

} // namespace

void elf_file::closer::operator()(Elf* elf) const { ::elf_end(elf); }

elf_file::elf_file(std::string path) : path_(std::move(path)) {
    ::elf_version(EV_CURRENT);
    // Without waiting: it may be a FIFO.
    fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0)
        fail(std::strerror(errno));
    try {
        struct stat status {};
        if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode))
            fail(S_ISDIR(status.st_mode) ? "is a directory" : "is no regular file");
        size_ = static_cast<std::uint64_t>(status.st_size);
        elf_.reset(::elf_begin(fd_, ELF_C_READ, nullptr));
        GElf_Ehdr header{};
        if (elf_ == nullptr || ::elf_kind(elf_.get()) != ELF_K_ELF ||
            ::gelf_getehdr(elf_.get(), &header) == nullptr)
            fail("neither a script with #! nor an ELF program");
        if (header.e_machine != machine || header.e_ident[EI_CLASS] != ELFCLASS64)
            fail("built for another machine than libweft_preload.so");
        if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
            fail("an ELF file, but neither a program nor a shared library");
        read_segments();
        if (loader_.empty() && (header.e_type == ET_EXEC || is_position_independent_program()))
            kind_ = elf_kind::static_program;
    } catch (...) {
        elf_.reset();
        ::close(fd_);
        throw;
    }
}

elf_file::~elf_file() {
    elf_.reset();
    ::close(fd_);
}

void elf_file::fail(char const* what) const { throw elf_error(fmt::format("{}: {}", path_, what)); }

std::string elf_file::read_text(std::uint64_t offset, std::uint64_t size) const {
    if (offset > size_ || size > size_ - offset)
        fail("a damaged ELF file: it ends before its contents do");
    std::string text(size, '\0');
    for (std::size_t done = 0; done < size;) {
        ssize_t const count =
            ::pread(fd_, text.data() + done, size - done, static_cast<off_t>(offset + done));
        if (count <= 0)
            fail("could not be read to its end");
        done += static_cast<std::size_t>(count);
    }
    return text;
}

void elf_file::read_segments() {
    std::size_t count = 0;
    if (::elf_getphdrnum(elf_.get(), &count) != 0 || count == 0)
        fail("a damaged ELF file: it has no table of segments");
    for (std::size_t i = 0; i < count; ++i) {
        GElf_Phdr segment{};
        if (::gelf_getphdr(elf_.get(), static_cast<int>(i), &segment) == nullptr)
            fail("a damaged ELF file: its table of segments is cut off");
        if (segment.p_type != PT_INTERP)
            continue;
        constexpr std::uint64_t longest = 4096;
        if (segment.p_filesz > longest)
            fail("a damaged ELF file: no dynamic linker has so long a name");
        loader_ = read_text(segment.p_offset, segment.p_filesz);
        loader_.resize(std::strlen(loader_.c_str()));
        kind_ = elf_kind::program;
    }
}

bool elf_file::is_position_independent_program() const {
    bool found = false;
    each_entry<GElf_Dyn>(elf_.get(), {SHT_DYNAMIC}, ::gelf_getdyn, [&](auto const&, GElf_Dyn const& entry) {
        found = found || (entry.d_tag == DT_FLAGS_1 && (entry.d_un.d_val & DF_1_PIE) != 0);
        return entry.d_tag != DT_NULL;
    });
    return found;
}

std::size_t elf_file::section_count() const {
    std::size_t count = 0;
    return ::elf_getshdrnum(elf_.get(), &count) == 0 ? count : 0;
}

bool elf_file::has_patch_layer() const {
    std::size_t names = 0;
    if (::elf_getshdrstrndx(elf_.get(), &names) != 0)
        return false;
    for (Elf_Scn* place = ::elf_nextscn(elf_.get(), nullptr); place != nullptr;
         place = ::elf_nextscn(elf_.get(), place)) {
        GElf_Shdr section{};
        if (::gelf_getshdr(place, &section) == nullptr)
            continue;
        char const* const name = ::elf_strptr(elf_.get(), names, section.sh_name);
        if (name != nullptr && std::string_view(name) == detail::patch_layer_section)
            return true;
    }
    return false;
}

elf_symbols elf_file::symbols() const {
    // Without them it has imports all the same, and saying that it has none would be wrong.
    if (section_count() == 0)
        fail("its table of sections is missing or cut off, so what it imports can't be read");
    elf_symbols found;
    bool any = false;
    each_entry<GElf_Sym>(
        elf_.get(), {SHT_DYNSYM}, ::gelf_getsym, [&](GElf_Shdr const& section, GElf_Sym const& symbol) {
            any = true;
            char const* const name = ::elf_strptr(elf_.get(), section.sh_link, symbol.st_name);
            int const type = GELF_ST_TYPE(symbol.st_info);
            int const visibility = GELF_ST_VISIBILITY(symbol.st_other);
            if (name == nullptr)
                fail("a damaged ELF file: a symbol's name lies outside of it");
            if (*name == '\0' || GELF_ST_BIND(symbol.st_info) == STB_LOCAL)
                return true;
            if (symbol.st_shndx == SHN_UNDEF)
                found.imports.emplace_back(name);
            else if (visibility != STV_DEFAULT && visibility != STV_PROTECTED)
                return true;
            else if (type == STT_OBJECT)
                found.objects.emplace_back(name);
            else if (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE)
                found.definitions.emplace_back(name);
            return true;
        });
    if (!any)
        fail("a damaged ELF file: its table of dynamic symbols is missing or cut off");
    return found;
}

std::vector<std::uint64_t> elf_file::pointers_to(std::string const& name) const {
    std::vector<std::uint64_t> found;
    each_entry<GElf_Rela>(
        elf_.get(), {SHT_RELA}, ::gelf_getrela, [&](GElf_Shdr const& section, GElf_Rela const& relocation) {
            Elf_Scn* const place = ::elf_getscn(elf_.get(), section.sh_link);
            Elf_Data* const data = place != nullptr ? ::elf_getdata(place, nullptr) : nullptr;
            GElf_Shdr symbols{};
            GElf_Sym symbol{};
            if (data == nullptr || data->d_buf == nullptr || ::gelf_getshdr(place, &symbols) == nullptr ||
                symbols.sh_type != SHT_DYNSYM)
                return true;
            if (::gelf_getsym(data, static_cast<int>(GELF_R_SYM(relocation.r_info)), &symbol) == nullptr)
                return true;
            char const* const its_name = ::elf_strptr(elf_.get(), symbols.sh_link, symbol.st_name);
            if (its_name != nullptr && name == its_name)
                found.push_back(relocation.r_offset);
            return true;
        });
    return found;
}

std::vector<elf_code> elf_file::code() const {
    std::vector<elf_code> found;
    std::size_t count = 0;
    std::uint64_t total = 0;
    ::elf_getphdrnum(elf_.get(), &count);
    for (std::size_t i = 0; i < count; ++i) {
        GElf_Phdr segment{};
        if (::gelf_getphdr(elf_.get(), static_cast<int>(i), &segment) == nullptr ||
            segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0)
            continue;
        total += segment.p_filesz;
        if (total > size_) // segments may overlap only in a file that wants to fill our memory
            fail("a damaged ELF file: its segments are larger than itself");
        std::string const text = read_text(segment.p_offset, segment.p_filesz);
        found.push_back({segment.p_vaddr, std::vector<unsigned char>(text.begin(), text.end())});
    }
    return found;
}

} // namespace weft::services
