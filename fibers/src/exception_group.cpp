#include <utility>

#include <weft/exception_group.hpp>

#include "unhandled.hpp"

namespace weft {
namespace {

std::string describe(std::vector<exception_group::failure> const& failures) {
    std::string text = failures.size() == 1 ? "1 fiber" : std::to_string(failures.size()) + " fibers";
    text += " of a task group failed:";
    for (exception_group::failure const& each : failures) {
        std::string line = "\n\"" + each.fiber + "\": " + detail::describe(each.exception);
        for (std::size_t at = 0; (at = line.find('\n', at)) != std::string::npos; at += 3)
            line.replace(at, 1, "\n  ");
        text += line;
    }
    return text;
}

} // namespace

exception_group::exception_group(std::vector<failure> failures)
    : failures_(std::make_shared<std::vector<failure> const>(std::move(failures))),
      text_(std::make_shared<std::string const>(describe(*failures_))) {}

} // namespace weft
