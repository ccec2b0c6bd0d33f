#include "program_file.hpp"

#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace weft::services {
namespace {

constexpr int not_found = 127;
constexpr int not_runnable = 126;

class unique_descriptor {
public:
    explicit unique_descriptor(int fd) : fd_(fd) {}
    unique_descriptor(unique_descriptor const&) = delete;
    unique_descriptor& operator=(unique_descriptor const&) = delete;
    ~unique_descriptor() {
        if (fd_ >= 0)
            ::close(fd_);
    }
    [[nodiscard]] int get() const { return fd_; }

private:
    int fd_;
};

std::string search_path(std::string const& name) {
    if (name.find('/') != std::string::npos)
        return name;
    char const* const variable = std::getenv("PATH");
    std::string_view rest = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
    for (;;) {
        std::size_t const end = rest.find(':');
        std::string_view const folder = rest.substr(0, end);
        std::string candidate = fmt::format("{}/{}", folder.empty() ? "." : folder, name);
        struct stat status {};
        if (::stat(candidate.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
            ::access(candidate.c_str(), X_OK) == 0)
            return candidate;
        if (end == std::string_view::npos)
            throw program_error(not_found, fmt::format("{}: no such program on PATH", name));
        rest.remove_prefix(end + 1);
    }
}

void require_runnable(std::string const& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0)
        throw program_error(errno == ENOENT ? not_found : not_runnable,
                            fmt::format("{}: {}", path, std::strerror(errno)));
    if (S_ISDIR(status.st_mode))
        throw program_error(not_runnable, fmt::format("{}: is a directory", path));
    if (::access(path.c_str(), X_OK) != 0)
        throw program_error(not_runnable, fmt::format("{}: {}", path, std::strerror(errno)));
    bool const other_user = (status.st_mode & S_ISUID) != 0 && status.st_uid != ::getuid();
    bool const other_group = (status.st_mode & S_ISGID) != 0 && status.st_gid != ::getgid();
    bool const capabilities =
        ::getuid() != 0 && ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
    if (other_user || other_group || capabilities)
        throw program_error(
            not_runnable,
            fmt::format(
                "{}: runs with other rights than yours ({}), so the system lets nothing be preloaded into it; run it "
                "as that user, or link it with weft::patch",
                path,
                other_user    ? "set-user-ID"
                : other_group ? "set-group-ID"
                              : "file capabilities"));
}

// The first words of a script's "#!" line; empty if `path` is none.
std::string script_interpreter(std::string const& path) {
    std::array<char, 256> start{}; // the kernel's own limit
    unique_descriptor const file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ssize_t const count = file.get() >= 0 ? ::read(file.get(), start.data(), start.size() - 1) : -1;
    if (count < 2)
        return {};
    std::string_view text(start.data(), static_cast<std::size_t>(count));
    if (!text.starts_with("#!"))
        return {};
    text = text.substr(2, text.find('\n') - 2);
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    return std::string(text.substr(0, text.find_first_of(" \t")));
}

struct elf_closer {
    void operator()(Elf* elf) const { ::elf_end(elf); }
};

// The dynamic linker that `path` asks for. Throws program_error for what can't have anything preloaded.
std::string read_loader(std::string const& path) {
    ::elf_version(EV_CURRENT);
    unique_descriptor const file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0)
        throw program_error(not_runnable, fmt::format("{}: {}", path, std::strerror(errno)));
    std::unique_ptr<Elf, elf_closer> const elf(::elf_begin(file.get(), ELF_C_READ, nullptr));
    GElf_Ehdr header{};
    if (elf == nullptr || ::elf_kind(elf.get()) != ELF_K_ELF || ::gelf_getehdr(elf.get(), &header) == nullptr)
        throw program_error(not_runnable,
                            fmt::format("{}: neither a script with #! nor an ELF program", path));
#if defined(__x86_64__)
    constexpr int machine = EM_X86_64;
#else
    constexpr int machine = EM_AARCH64;
#endif
    if (header.e_machine != machine || header.e_ident[EI_CLASS] != ELFCLASS64)
        throw program_error(not_runnable,
                            fmt::format("{}: built for another machine than libweft_preload.so", path));
    std::size_t count = 0;
    ::elf_getphdrnum(elf.get(), &count);
    for (std::size_t i = 0; i < count; ++i) {
        GElf_Phdr segment{};
        if (::gelf_getphdr(elf.get(), static_cast<int>(i), &segment) == nullptr ||
            segment.p_type != PT_INTERP)
            continue;
        std::string name(segment.p_filesz, '\0');
        if (::pread(file.get(), name.data(), name.size(), static_cast<off_t>(segment.p_offset)) !=
            static_cast<ssize_t>(name.size()))
            break;
        name.resize(std::strlen(name.c_str()));
        return name;
    }
    throw program_error(
        not_runnable,
        fmt::format("{}: is statically linked, so nothing can be preloaded into it; link it dynamically, or "
                    "build it with weft::patch",
                    path));
}

} // namespace

program_file find_program(std::string const& name) {
    program_file program;
    program.path = program.image = search_path(name);
    require_runnable(program.path);
    constexpr int most_scripts = 5; // as in the kernel: an interpreter may be a script, too
    for (int i = 0; i < most_scripts; ++i) {
        std::string const interpreter = script_interpreter(program.image);
        if (interpreter.empty())
            break;
        program.image = interpreter;
        require_runnable(program.image);
    }
    program.loader = read_loader(program.image);
    return program;
}

std::string resolve_libraries(program_file const& program, std::string const& library) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        throw program_error(not_runnable, fmt::format("cannot make a pipe: {}", std::strerror(errno)));
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    // The dynamic linker, run by itself: it never starts the program.
    std::vector<std::string> words{program.loader, "--preload", library, "--list", program.image};
    std::vector<char*> arguments;
    for (std::string& word : words)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t process = -1;
    int const error =
        ::posix_spawn(&process, program.loader.c_str(), &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    unique_descriptor const output(ends[0]);
    if (error != 0)
        throw program_error(not_runnable, fmt::format("{}: {}, the dynamic linker that {} asks for",
                                                      program.loader, std::strerror(error), program.image));
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t count = 0; (count = ::read(output.get(), buffer.data(), buffer.size())) > 0;)
        text.append(buffer.data(), static_cast<std::size_t>(count));
    int status = 0;
    ::waitpid(process, &status, 0);
    if (status != 0)
        throw program_error(not_runnable, fmt::format("{}: the dynamic linker refuses it: {}", program.image,
                                                      text.substr(0, text.find('\n'))));
    return text;
}

} // namespace weft::services
