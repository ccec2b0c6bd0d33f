#include "program_file.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "elf_file.hpp"

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

void require_file(std::string const& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0)
        throw program_error(errno == ENOENT ? not_found : not_runnable,
                            fmt::format("{}: {}", path, std::strerror(errno)));
    if (S_ISDIR(status.st_mode))
        throw program_error(not_runnable, fmt::format("{}: is a directory", path));
    if (!S_ISREG(status.st_mode))
        throw program_error(not_runnable, fmt::format("{}: is no regular file", path));
}

void require_runnable(std::string const& path) {
    require_file(path);
    if (::access(path.c_str(), X_OK) != 0)
        throw program_error(not_runnable, fmt::format("{}: {}", path, std::strerror(errno)));
    if (std::string const obstacle = preload_obstacle(path); !obstacle.empty())
        throw program_error(not_runnable, fmt::format("{}: {}", path, obstacle));
}

// Takes the first word off `text`.
std::string_view next_word(std::string_view& text) {
    constexpr std::string_view space = " \t";
    text.remove_prefix(std::min(text.find_first_not_of(space), text.size()));
    std::string_view const word = text.substr(0, text.find_first_of(space));
    text.remove_prefix(word.size());
    return word;
}

// The program that a script's "#!" line names, itself or by env; empty if `path` is no script.
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
    std::string interpreter(next_word(text));
    if (interpreter.empty() || interpreter.substr(interpreter.rfind('/') + 1) != "env")
        return interpreter;
    for (std::string_view word; !(word = next_word(text)).empty();)
        if (!word.starts_with('-') && word.find('=') == std::string_view::npos)
            return search_path(std::string(word));
    return interpreter;
}

program_file find(std::string const& name, void (*require)(std::string const& path)) {
    program_file program;
    program.path = program.image = search_path(name);
    require(program.path);
    constexpr int most_scripts = 5; // as in the kernel: an interpreter may be a script, too
    for (int i = 0; i < most_scripts; ++i) {
        std::string const interpreter = script_interpreter(program.image);
        if (interpreter.empty())
            break;
        program.image = interpreter;
        require(program.image);
    }
    try {
        program.loader = elf_file(program.image).loader();
    } catch (elf_error const& error) {
        throw program_error(not_runnable, error.what());
    }
    return program;
}

// The name and path in a line of the dynamic linker's list: "NAME => PATH (0xADDRESS)" or "PATH (0xADDRESS)". What the kernel
// provides has no path; then it is empty.
loaded_library parse_library(std::string_view line) {
    line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
    line = line.substr(0, line.rfind(" (0x"));
    constexpr std::string_view arrow = " => ";
    std::size_t const end = line.find(arrow);
    std::string_view const path = end == std::string_view::npos ? line : line.substr(end + arrow.size());
    if (path.find('/') == std::string_view::npos)
        return {};
    std::string_view const name =
        end == std::string_view::npos ? path.substr(path.rfind('/') + 1) : line.substr(0, end);
    return {std::string(name), std::string(path)};
}

std::vector<loaded_library> parse_libraries(std::string_view list) {
    std::vector<loaded_library> libraries;
    while (!list.empty()) {
        std::size_t const end = std::min(list.find('\n'), list.size());
        loaded_library library = parse_library(list.substr(0, end));
        if (!library.path.empty())
            libraries.push_back(std::move(library));
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return libraries;
}

} // namespace

std::string preload_obstacle(std::string const& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0)
        return {};
    bool const other_user = (status.st_mode & S_ISUID) != 0 && status.st_uid != ::getuid();
    bool const other_group = (status.st_mode & S_ISGID) != 0 && status.st_gid != ::getgid();
    bool const capabilities =
        ::getuid() != 0 && ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
    if (!other_user && !other_group && !capabilities)
        return {};
    return fmt::format(
        "runs with other rights than yours ({}), so the system lets nothing be preloaded into it; run it "
        "as that user, or link it with weft::patch",
        other_user    ? "set-user-ID"
        : other_group ? "set-group-ID"
                      : "file capabilities");
}

program_file find_file(std::string const& name) { return find(name, require_file); }

program_file find_program(std::string const& name) {
    program_file program = find(name, require_runnable);
    if (program.loader.empty())
        throw program_error(
            not_runnable,
            fmt::format(
                "{}: is statically linked, so nothing can be preloaded into it; link it dynamically, or "
                "build it with weft::patch",
                program.image));
    return program;
}

std::vector<loaded_library> resolve_libraries(std::string const& loader, std::string const& image,
                                              std::string const& preload) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        throw program_error(not_runnable, fmt::format("cannot make a pipe: {}", std::strerror(errno)));
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    // The dynamic linker, run by itself: it never starts the program.
    std::vector<std::string> words{loader};
    if (!preload.empty())
        words.insert(words.end(), {"--preload", preload});
    // What starts with '-' would be an option, what has no '/' would be searched for.
    words.insert(words.end(), {"--list", image.starts_with('/') ? image : "./" + image});
    std::vector<char*> arguments;
    for (std::string& word : words)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t process = -1;
    int const error = ::posix_spawn(&process, loader.c_str(), &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    unique_descriptor const output(ends[0]);
    if (error != 0)
        throw program_error(not_runnable, fmt::format("{}: {}, the dynamic linker that {} asks for", loader,
                                                      std::strerror(error), image));
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t count = 0; (count = ::read(output.get(), buffer.data(), buffer.size())) > 0;)
        text.append(buffer.data(), static_cast<std::size_t>(count));
    int status = 0;
    ::waitpid(process, &status, 0);
    if (WIFSIGNALED(status))
        throw program_error(
            not_runnable,
            fmt::format(
                "{}: the dynamic linker crashes on it ({}): it, or a library that it needs, is damaged",
                image, ::strsignal(WTERMSIG(status))));
    if (status != 0)
        throw program_error(not_runnable, fmt::format("{}: the dynamic linker refuses it: {}", image,
                                                      text.substr(0, text.find('\n'))));
    return parse_libraries(text);
}

} // namespace weft::services
