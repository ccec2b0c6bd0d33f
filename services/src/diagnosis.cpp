#include "diagnosis.hpp"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include <weft/detail/call_table.hpp>

#include "program_file.hpp"
#include "system_calls.hpp"
#include "unpatched_calls.hpp"

namespace weft::services {
namespace {

namespace fs = std::filesystem;
using detail::call_kind;

constexpr int not_runnable = 126;

// Parts of libc. Since glibc 2.34 most of them are empty.
constexpr std::string_view libc_files[] = {
    "libc.so.",       "libm.so.",          "libmvec.so.",   "libpthread.so.", "librt.so.",
    "libdl.so.",      "libutil.so.",       "libresolv.so.", "libanl.so.",     "libnss_files.so.",
    "libnss_dns.so.", "libnss_compat.so.", "ld-linux"};

// Their wide stdio calls are made for the std:: names below alone, and told with the files that use those.
constexpr std::string_view runtime_files[] = {"libstdc++.so.", "libc++.so.", "libc++abi.so."};

struct runtime_name {
    std::string_view symbol; // its beginning
    char const* name;
};
constexpr runtime_name runtime_names[] = {
    {"_ZSt4wcin", "std::wcin"},
    {"_ZNSt3__14wcinE", "std::wcin"},
};

// Of the calls on files, those that wait for other processes.
constexpr std::string_view file_locks[] = {"flock", "lockf", "lockf64"};

// Where a stream may come from that is no file on the disk.
constexpr std::string_view stream_sources[] = {"stdin", "fdopen", "_IO_fdopen", "popen", "_IO_popen"};

template <class Range> bool starts_with_any(std::string_view text, Range const& beginnings) {
    return std::any_of(std::begin(beginnings), std::end(beginnings),
                       [&](std::string_view beginning) { return text.starts_with(beginning); });
}

std::optional<call_kind> find_patched(std::string_view name) {
    static auto const kinds = [] {
        std::unordered_map<std::string_view, call_kind> all;
        for (detail::patched_call const& each : detail::patched_calls())
            all.emplace(each.name, each.kind);
        return all;
    }();
    auto const place = kinds.find(name);
    return place != kinds.end() ? std::optional(place->second) : std::nullopt;
}

// A loaded file, and what is to be known of it to tell whose function a name is.
struct loaded_file {
    file_findings findings;
    std::unique_ptr<elf_file> elf; // null for libc's own
    std::unordered_set<std::string> references;
    std::unordered_set<std::string> definitions; // of names that libc has, too

    [[nodiscard]] bool refers_to(std::string_view name) const {
        return references.contains(std::string(name));
    }
};

bool is_interesting(std::string const& name) {
    return name == "syscall" || find_patched(name) || find_unpatched(name) != nullptr;
}

loaded_file load(std::string name, std::string path) {
    loaded_file file;
    file.findings.is_libc = starts_with_any(name, libc_files);
    if (!file.findings.is_libc) {
        file.elf = std::make_unique<elf_file>(path);
        elf_symbols const symbols = file.elf->symbols();
        file.references.insert(symbols.imports.begin(), symbols.imports.end());
        file.references.insert(symbols.objects.begin(), symbols.objects.end());
        std::copy_if(symbols.definitions.begin(), symbols.definitions.end(),
                     std::inserter(file.definitions, file.definitions.end()), is_interesting);
        file.findings.loads_more = file.refers_to("dlopen") || file.refers_to("dlmopen");
    }
    file.findings.name = std::move(name);
    file.findings.path = std::move(path);
    return file;
}

// Never the one that the file names: that would be running a stranger's program.
std::string own_loader() { return elf_file("/proc/self/exe").loader(); }

void require_own_loader(program_file const& program, std::string const& ours) {
    std::error_code ignored;
    if (program.loader.empty() || fs::equivalent(program.loader, ours, ignored))
        return;
    throw program_error(
        not_runnable,
        fmt::format(
            "{}: asks for the dynamic linker {}, not for glibc's, {}, which weft is built for; its calls can't "
            "be patched, and what it loads can't be told",
            program.image, program.loader, ours));
}

class examination {
public:
    examination(program_file const& program, elf_kind kind, diagnosis_options const& options)
        : options_(options) {
        std::string const loader = own_loader();
        require_own_loader(program, loader);
        files_.push_back(load(fs::path(program.image).filename(), program.image));
        for (loaded_library& each : resolve_libraries(loader, program.image, {}))
            files_.push_back(load(std::move(each.name), std::move(each.path)));
        for (std::size_t i = 0; i < files_.size() && !carrier_; ++i)
            if (files_[i].elf != nullptr && files_[i].elf->has_patch_layer())
                carrier_ = i;
        // What is preloaded is searched after the program, and before all libraries.
        preloaded_before_ = kind == elf_kind::program ? 1 : 0;
    }

    [[nodiscard]] bool has_patch_layer() const { return carrier_.has_value(); }

    std::vector<file_findings> examine() {
        for (std::size_t i = 0; i < files_.size(); ++i)
            if (files_[i].elf != nullptr)
                examine_file(i);
        std::vector<file_findings> findings;
        for (loaded_file& each : files_) {
            std::sort(each.findings.calls.begin(), each.findings.calls.end(),
                      [](auto const& a, auto const& b) {
                          return std::tie(a.state, a.group, a.name) < std::tie(b.state, b.group, b.name);
                      });
            findings.push_back(std::move(each.findings));
        }
        return findings;
    }

private:
    enum class owner : std::uint8_t { weft, libc, other };

    static std::vector<std::string> patched_definitions(loaded_file const& file) {
        std::vector<std::string> names;
        std::copy_if(file.definitions.begin(), file.definitions.end(), std::back_inserter(names),
                     [](std::string const& name) { return find_patched(name).has_value(); });
        std::sort(names.begin(), names.end());
        return names;
    }

    // Whose function a name is: the dynamic linker takes the first in its order. For `other`, `where` says whose.
    owner find_owner(std::string const& name, std::size_t& where) const {
        for (std::size_t i = 0; i < files_.size(); ++i) {
            if (!carrier_ && i == preloaded_before_ && find_patched(name))
                return owner::weft;
            if (files_[i].findings.is_libc)
                return owner::libc;
            if (!files_[i].definitions.contains(name))
                continue;
            where = i;
            return carrier_ == i && find_patched(name) ? owner::weft : owner::other;
        }
        return owner::libc;
    }

    void add(loaded_file& file, std::string name, call_state state, std::string group = {},
             std::string reason = {}, std::string place = {}) const {
        std::vector<std::string> const& fine = options_.allowed;
        bool const allowed = std::find(fine.begin(), fine.end(), name) != fine.end() ||
                             std::find(fine.begin(), fine.end(), file.findings.name) != fine.end();
        file.findings.calls.push_back({.name = std::move(name),
                                       .state = state,
                                       .group = std::move(group),
                                       .reason = std::move(reason),
                                       .place = std::move(place),
                                       .allowed = allowed});
    }

    void examine_file(std::size_t index) {
        loaded_file& file = files_[index];
        for (std::string const& name : file.references)
            if (is_interesting(name) && !file.definitions.contains(name))
                examine_name(index, name);
        if (carrier_ != index) // weft itself makes system calls, and knows how
            examine_code(index);
        if (starts_with_any(file.findings.name, runtime_files))
            return;
        if (!carrier_)
            (index >= preloaded_before_ ? file.findings.replaced : file.findings.kept) =
                patched_definitions(file);
        std::set<std::string_view> found;
        for (std::string const& name : file.references)
            for (runtime_name const& each : runtime_names)
                if (name.starts_with(each.symbol) && found.insert(each.name).second)
                    add(file, each.name, call_state::blocking, standard_input().name,
                        standard_input().reason);
    }

    void examine_name(std::size_t index, std::string const& name) {
        loaded_file& file = files_[index];
        auto const patched = find_patched(name);
        if (patched == call_kind::notes)
            return;
        std::size_t where = 0;
        owner const whose = find_owner(name, where);
        if (whose == owner::other)
            add(file, name, call_state::elsewhere, files_[where].findings.name,
                "defined there, so not libc's");
        else if (whose == owner::libc && patched)
            add(file, name, call_state::blocking, "not exported",
                "the program has weft's, but does not export it, so that this file calls libc's");
        else if (patched)
            add_patched(file, name, *patched);
        else if (unpatched_class const* const why = find_unpatched(name))
            add(file, name, waits_for_others(index, *why) ? call_state::blocking : call_state::pass_through,
                why->name, why->reason);
    }

    void add_patched(loaded_file& file, std::string const& name, call_kind kind) const {
        bool const locks =
            std::find(std::begin(file_locks), std::end(file_locks), name) != std::end(file_locks);
        if (kind == call_kind::parks)
            add(file, name, call_state::patched);
        else if (kind == call_kind::offloads || options_.files)
            add(file, name, call_state::offloaded);
        else if (locks)
            add(file, name, call_state::blocking, "file locks",
                "wait for other processes; offloaded by weft run --files, or patch_options::files");
        else
            add(file, name, call_state::pass_through, "files",
                "wait for the disk, not for a peer; offloaded by weft run --files, or patch_options::files");
    }

    // A stream is taken for a file on the disk unless the program itself has streams of another kind. Of libraries, the
    // most have such for a question at the terminal at best.
    [[nodiscard]] bool waits_for_others(std::size_t index, unpatched_class const& why) const {
        if (why.kind != unpatched_kind::by_stream)
            return why.kind == unpatched_kind::blocks;
        return index == 0 &&
               std::any_of(std::begin(stream_sources), std::end(stream_sources),
                           [&](std::string_view name) { return files_[index].refers_to(name); });
    }

    void examine_code(std::size_t index) {
        loaded_file& file = files_[index];
        std::vector<elf_code> const code = file.elf->code();
        bool const runtime = starts_with_any(file.findings.name, runtime_files);
        std::vector<system_call> calls = find_system_calls(own_instruction_set, code);
        std::size_t elsewhere = 0;
        if (file.refers_to("syscall") && find_owner("syscall", elsewhere) != owner::other) {
            auto const indirect =
                find_calls_of_syscall(own_instruction_set, code, file.elf->pointers_to("syscall"));
            // Most are made as the patched functions make them; of a number that isn't seen it is assumed.
            std::copy_if(indirect.begin(), indirect.end(), std::back_inserter(calls),
                         [](system_call const& each) {
                             return each.number && !detail::is_patched_system_call(*each.number);
                         });
        }
        std::map<std::string, std::uint64_t> found; // name, and where first
        for (system_call const& each : calls)
            if (char const* const name = each.number ? blocking_system_call(*each.number) : nullptr)
                found.emplace(name, each.address);
        for (auto const& [name, address] : found) {
            if (runtime)
                add(file, name, call_state::pass_through, "C++ library",
                    "its own system calls, made for what is listed with the files that use it");
            else
                add(file, name, call_state::raw, "raw system calls",
                    "past libc, where nothing can stand before them; found by what the code looks like, so probable, "
                    "not sure",
                    address != 0 ? fmt::format("{:#x}", address) : std::string());
        }
    }

    diagnosis_options const& options_;
    std::vector<loaded_file> files_;
    std::optional<std::size_t> carrier_; // the file that has the patch layer
    std::size_t preloaded_before_ = 0;   // place in `files_` of what comes after a preloaded library
};

} // namespace

diagnosis diagnose(std::string const& name, diagnosis_options const& options) {
    try {
        program_file const program = find_file(name);
        diagnosis found;
        found.name = name;
        found.path = program.path;
        found.image = program.image;
        found.kind = elf_file(program.image).kind();
        if (found.kind == elf_kind::static_program) {
            found.obstacles.emplace_back(
                "is statically linked: its calls are bound inside it, and no interposition can "
                "reach them; link it dynamically");
            return found;
        }
        examination files(program, found.kind, options);
        found.has_patch_layer = files.has_patch_layer();
        std::string const obstacle = preload_obstacle(program.image);
        if (found.kind == elf_kind::program && !found.has_patch_layer && !obstacle.empty())
            found.obstacles.push_back(obstacle);
        found.files = files.examine();
        return found;
    } catch (elf_error const& error) {
        throw program_error(not_runnable, error.what());
    }
}

bool is_unpatched(call_finding const& call) {
    return !call.allowed && (call.state == call_state::blocking || call.state == call_state::raw);
}

std::size_t count_unpatched(diagnosis const& of) {
    std::size_t count = 0;
    for (file_findings const& file : of.files)
        count += static_cast<std::size_t>(std::count_if(file.calls.begin(), file.calls.end(), is_unpatched));
    return count;
}

} // namespace weft::services
