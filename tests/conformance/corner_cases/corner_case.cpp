#include "corner_case.hpp"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace corner {

std::vector<corner_case>& all_cases() {
    static std::vector<corner_case> all;
    return all;
}

registration::registration(char const* file, char const* name, void (*run)(), expectation const& expected) {
    std::string_view area(file);
    area.remove_prefix(area.rfind('/') + 1);
    area.remove_suffix(area.size() - area.rfind('.'));
    all_cases().push_back({area, name, run, expected});
}

void say(char const* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    std::vprintf(format, arguments);
    va_end(arguments);
    std::putchar('\n');
}

char const* error_name(int error) { return ::strerrorname_np(error); }

void tell_number(char const* what, long long result, int error) {
    if (result < 0)
        say("%s: %lld %s", what, result, error_name(error));
    else
        say("%s: %lld", what, result);
}

void tell_pointer(char const* what, void const* result, int error) {
    say("%s: %s", what, result != nullptr ? "a pointer" : error_name(error));
}

void tell_code(char const* what, int code) { say("%s: %s", what, error_name(code)); }

void give_up(char const* file, int line, char const* what) {
    std::fprintf(stderr, "%s:%d: %s: errno %s\n", file, line, what, error_name(errno));
    std::abort();
}

} // namespace corner
