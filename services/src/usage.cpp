#include "usage.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string_view>

#include <fmt/format.h>

namespace weft::services {
namespace {

// Levenshtein's distance.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < b.size(); ++j) {
            std::size_t const replaced = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}

std::string suggestion(std::string_view given, std::vector<std::string> const& known) {
    auto const nearest = std::min_element(known.begin(), known.end(), [&](auto const& a, auto const& b) {
        return distance(given, a) < distance(given, b);
    });
    constexpr std::size_t near = 3;
    if (nearest == known.end() || distance(given, *nearest) >= near)
        return {};
    return fmt::format("; did you mean '{}'?", *nearest);
}

std::vector<std::string> option_names(CLI::App const& command) {
    std::vector<std::string> names;
    for (CLI::Option const* const option : command.get_options())
        for (std::string const& name : option->get_lnames())
            names.push_back("--" + name);
    return names;
}

std::vector<std::string> command_names(CLI::App const& program) {
    std::vector<std::string> names;
    for (CLI::App const* const command : program.get_subcommands([](CLI::App const*) { return true; }))
        names.push_back(command->get_name());
    return names;
}

bool contains(std::vector<std::string> const& names, std::string const& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

// The first option among `arguments` that `command` doesn't have; empty if there is none.
std::string unknown_option(CLI::App const& command, std::vector<std::string> const& arguments) {
    std::vector<std::string> const known = option_names(command);
    for (std::string const& argument : arguments) {
        std::string name = argument.substr(0, argument.find('='));
        if (argument.size() > 1 && argument.front() == '-' && !contains(known, name))
            return name;
    }
    return {};
}

} // namespace

std::string describe_usage_error(CLI::App const& program, CLI::ParseError const& error,
                                 std::vector<std::string> const& arguments) {
    auto const chosen = program.get_subcommands();
    CLI::App const& command = chosen.empty() ? program : *chosen.front();
    std::string const name = chosen.empty() ? "weft" : "weft " + command.get_name();
    std::string what = error.what();
    what.resize(std::min(what.find('\n'), what.size()));
    bool const unknown = dynamic_cast<CLI::ExtrasError const*>(&error) != nullptr || chosen.empty();
    if (std::string const option = unknown_option(command, arguments); unknown && !option.empty())
        what = fmt::format("unknown option '{}'{}", option, suggestion(option, option_names(command)));
    else if (chosen.empty() && !arguments.empty())
        what = fmt::format("unknown command '{}'{}", arguments.front(),
                           suggestion(arguments.front(), command_names(program)));
    else if (chosen.empty())
        what = fmt::format("no command given (one of {})", fmt::join(command_names(program), ", "));
    return fmt::format("{}{} '{} --help'", what, what.ends_with('?') ? " See" : "; see", name);
}

} // namespace weft::services
