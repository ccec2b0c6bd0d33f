#include "run_cases.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

#include "corner_case.hpp"

namespace corner {
namespace {

std::string full_name(corner_case const& each) {
    return std::string(each.area) + "." + std::string(each.name);
}

// area.name, parks, parks with files, and the reason why it isn't run on fibers
int list() {
    for (corner_case const& each : all_cases())
        say("%s %u %u %s", full_name(each).c_str(), each.expected.parks, each.expected.parks_with_files,
            each.expected.threads_only != nullptr ? each.expected.threads_only : "");
    return 0;
}

} // namespace

int run_cases(std::vector<std::string_view> const& arguments) {
    // What was said before a crash is wanted.
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
    std::vector<corner_case>& all = all_cases();
    std::sort(all.begin(), all.end(), [](corner_case const& one, corner_case const& other) {
        return full_name(one) < full_name(other);
    });
    if (arguments.size() == 1 && arguments[0] == "--list")
        return list();
    for (std::string_view const name : arguments) {
        auto const found = std::find_if(all.begin(), all.end(),
                                        [name](corner_case const& each) { return full_name(each) == name; });
        if (found == all.end()) {
            std::fprintf(stderr, "no case %s; --list tells which there are\n", std::string(name).c_str());
            return 2;
        }
        found->run();
    }
    return 0;
}

} // namespace corner
