#include "diagnosis_text.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace weft::services {
namespace {

constexpr std::size_t width = 100;
constexpr std::size_t label_width = 14;

// The length of the UTF-8 sequence that `text` begins with; 0 if it is none.
std::size_t sequence_length(std::string_view text) {
    auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    std::size_t const length = byte(0) < 0x80   ? 1
                               : byte(0) < 0xc2 ? 0
                               : byte(0) < 0xe0 ? 2
                               : byte(0) < 0xf0 ? 3
                               : byte(0) < 0xf5 ? 4
                                                : 0;
    if (length == 0 || length > text.size())
        return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xc0) != 0x80)
            return 0;
    bool const overlong = (byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xf0 && byte(1) < 0x90);
    bool const no_character = (byte(0) == 0xed && byte(1) >= 0xa0) || (byte(0) == 0xf4 && byte(1) >= 0x90);
    return overlong || no_character ? 0 : length;
}

bool is_control(std::string_view sequence) {
    auto const first = static_cast<unsigned char>(sequence[0]);
    return first < 0x20 || first == 0x7f || (first == 0xc2 && static_cast<unsigned char>(sequence[1]) < 0xa0);
}

// A label, and after it the words, as many to a line as fit.
std::string row(std::string_view label, std::vector<std::string> const& words) {
    std::string text = fmt::format("    {:<{}}", label, label_width);
    std::size_t const indent = text.size();
    std::size_t column = indent;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (column > indent && column + 1 + words[i].size() > width) {
            text += '\n';
            text.append(indent, ' ');
            column = indent;
        } else if (i > 0) {
            text += ' ';
            ++column;
        }
        text += words[i];
        column += words[i].size();
    }
    return text + '\n';
}

// "a, b; group: c, d" as words.
std::vector<std::string> list_calls(std::vector<call_finding const*> const& calls) {
    std::vector<std::string> words;
    for (std::size_t i = 0; i < calls.size(); ++i) {
        call_finding const& call = *calls[i];
        bool const first = i == 0 || calls[i - 1]->group != call.group;
        bool const last = i + 1 == calls.size();
        std::string word = call.place.empty() ? call.name : fmt::format("{} ({})", call.name, call.place);
        if (first && !call.group.empty() && call.state != call_state::raw)
            word.insert(0, call.group + ": ");
        if (!last)
            word += calls[i + 1]->group == call.group ? ',' : ';';
        words.push_back(std::move(word));
    }
    return words;
}

std::vector<std::string> list_names(std::vector<std::string> const& names) {
    std::vector<std::string> words;
    for (std::string const& name : names)
        words.push_back(printable(name) + (&name == &names.back() ? "" : ","));
    return words;
}

bool is_quiet(file_findings const& file) {
    return file.calls.empty() && file.replaced.empty() && file.kept.empty();
}

std::string describe_file(file_findings const& file) {
    struct kind_of_row {
        call_state state;
        char const* label;
    };
    constexpr kind_of_row rows[] = {
        {call_state::patched, "patched"},           {call_state::offloaded, "offloaded"},
        {call_state::blocking, "blocking"},         {call_state::raw, "unreachable"},
        {call_state::pass_through, "pass-through"},
    };
    auto const select = [&](auto const& wanted) {
        std::vector<call_finding const*> calls;
        for (call_finding const& call : file.calls)
            if (wanted(call))
                calls.push_back(&call);
        return calls;
    };
    std::string text = fmt::format("  {}\n", printable(file.name));
    for (kind_of_row const& kind : rows)
        if (auto const calls =
                select([&](call_finding const& call) { return call.state == kind.state && !call.allowed; });
            !calls.empty())
            text += row(kind.label, list_calls(calls));
    if (auto const calls = select(
            [](call_finding const& call) { return call.allowed && call.state != call_state::elsewhere; });
        !calls.empty())
        text += row("allowed", list_calls(calls));
    for (call_finding const* const call :
         select([](call_finding const& each) { return each.state == call_state::elsewhere; }))
        text += row("not libc's", {fmt::format("{}: of {}", call->name, printable(call->group))});
    if (!file.replaced.empty())
        text += row("replaced", list_names(file.replaced));
    if (!file.kept.empty())
        text += row("its own", list_names(file.kept));
    return text;
}

// What the groups of calls mean, each once, those that block first.
std::string describe_reasons(diagnosis const& found) {
    std::vector<call_finding const*> groups;
    for (file_findings const& file : found.files)
        for (call_finding const& call : file.calls)
            if (!call.reason.empty() && call.state != call_state::elsewhere &&
                std::none_of(groups.begin(), groups.end(),
                             [&](call_finding const* each) { return each->group == call.group; }))
                groups.push_back(&call);
    std::stable_sort(groups.begin(), groups.end(), [](call_finding const* a, call_finding const* b) {
        return std::pair(a->state, a->group) < std::pair(b->state, b->group);
    });
    std::string text;
    for (call_finding const* const each : groups)
        text += fmt::format("  {}: {}\n", each->group, each->reason);
    return text;
}

std::string describe_others(diagnosis const& found) {
    std::vector<std::string> quiet;
    std::vector<std::string> libc;
    std::vector<std::string> loading;
    bool replaces = false;
    for (file_findings const& file : found.files) {
        if (file.is_libc)
            libc.push_back(file.name);
        else if (is_quiet(file))
            quiet.push_back(file.name);
        if (file.loads_more)
            loading.push_back(file.name);
        replaces = replaces || !file.replaced.empty();
    }
    std::string text;
    auto const add = [&](char const* what, std::vector<std::string> const& names, char const* more) {
        if (!names.empty())
            text +=
                fmt::format("  {}: {}{}\n", what, printable(fmt::format("{}", fmt::join(names, ", "))), more);
    };
    add("nothing that waits", quiet, "");
    add("libc itself", libc, "");
    add("load more at run time (dlopen)", loading, "; name what they load as further arguments");
    if (replaces)
        text += "  replaced: defined by the library itself; weft's come in their place\n";
    return text;
}

std::string verdict(diagnosis const& found) {
    if (!found.obstacles.empty())
        return "its blocking calls are not patched";
    std::vector<std::string> calls;
    for (file_findings const& file : found.files)
        for (call_finding const& call : file.calls)
            if (is_unpatched(call))
                calls.push_back(fmt::format("{} ({})", call.name, printable(file.name)));
    if (calls.empty())
        return "no blocking call stays unpatched";
    constexpr std::size_t most = 8;
    std::size_t const more = calls.size() > most ? calls.size() - most : 0;
    calls.resize(calls.size() - more);
    return fmt::format("{} blocking call{} unpatched: {}{}", calls.size() + more,
                       calls.size() + more == 1 ? " stays" : "s stay", fmt::join(calls, ", "),
                       more > 0 ? fmt::format(" and {} more", more) : "");
}

} // namespace

std::string printable(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        std::size_t const length = sequence_length(text);
        if (length > 0 && !is_control(text))
            result += text.substr(0, length);
        else
            for (char const byte : text.substr(0, std::max<std::size_t>(length, 1)))
                result += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return result;
}

std::string describe(diagnosis const& found) {
    std::string text = printable(found.path);
    if (found.image != found.path)
        text += fmt::format(", a script of {}", printable(found.image));
    text += '\n';
    if (found.has_patch_layer)
        text += "  has weft's patch layer linked in\n";
    for (std::string const& each : found.obstacles)
        text += fmt::format("  {}\n", printable(each));
    for (file_findings const& file : found.files)
        if (!file.is_libc && !is_quiet(file))
            text += describe_file(file);
    text += describe_others(found);
    if (std::string const reasons = describe_reasons(found); !reasons.empty())
        text += '\n' + reasons;
    text += fmt::format("\n{}: {}\n", printable(found.name), verdict(found));
    return text;
}

} // namespace weft::services
