// elf_file: what one ELF file says of itself: which program it is, what it imports and defines, and its code.
//
// The file may be a stranger's: whatever is wrong with it ends in elf_error, whose text names the file. It is read, never mapped, so
// that one that shrinks meanwhile is no danger either.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

struct Elf;

namespace weft::services {

struct elf_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

enum class elf_kind : std::uint8_t { program, static_program, library };

struct elf_symbols {
    std::vector<std::string> imports;     // undefined here
    std::vector<std::string> definitions; // functions that others may call
    std::vector<std::string> objects;     // data of others that the program holds a copy of (stdin, std::cin)
};

// A stretch of memory that is executed.
struct elf_code {
    std::uint64_t address = 0;
    std::vector<unsigned char> bytes;
};

class elf_file {
public:
    // Throws elf_error if it isn't a program or shared library of this machine's kind.
    explicit elf_file(std::string path);
    elf_file(elf_file const&) = delete;
    elf_file& operator=(elf_file const&) = delete;
    ~elf_file();

    [[nodiscard]] elf_kind kind() const noexcept { return kind_; }

    // The dynamic linker that a program asks for; empty for others.
    [[nodiscard]] std::string const& loader() const noexcept { return loader_; }

    // Whether weft's patch layer is linked in.
    [[nodiscard]] bool has_patch_layer() const;

    [[nodiscard]] elf_symbols symbols() const;

    // Addresses of the pointers through which the code calls the import `name`.
    [[nodiscard]] std::vector<std::uint64_t> pointers_to(std::string const& name) const;

    [[nodiscard]] std::vector<elf_code> code() const;

private:
    struct closer {
        void operator()(Elf* elf) const;
    };

    [[noreturn]] void fail(char const* what) const;
    [[nodiscard]] std::string read_text(std::uint64_t offset, std::uint64_t size) const;
    void read_segments();
    [[nodiscard]] bool is_position_independent_program() const;
    [[nodiscard]] std::size_t section_count() const;

    std::string path_;
    int fd_ = -1;
    std::uint64_t size_ = 0;
    std::unique_ptr<Elf, closer> elf_;
    elf_kind kind_ = elf_kind::library;
    std::string loader_;
};

} // namespace weft::services
