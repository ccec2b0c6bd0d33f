// corner_case: the registry of the cases, and how they report.
//
//     CORNER_CASE(read_of_nothing, .parks = 1) {
//         auto const [reader, writer] = make_pipe();
//         TELL(read(reader, buffer, 0));          prints "read(reader, buffer, 0): 0"
//     }
//
// A case prints a line for each call: the call, its result, and errno's name if it failed. The same program is run with weft and
// without, and what it prints is compared; so nothing may be printed that differs from run to run: no addresses, no times,
// no process ids, no descriptor numbers that threads of the case's own compete for. Each case runs in a process of its own
// and leaves it as it is: descriptors need not be closed.
#pragma once

#include <cerrno>
#include <chrono>
#include <concepts>
#include <string_view>
#include <vector>

namespace corner {

struct expectation {
    unsigned parks = 0; // how often, at least, the case's fiber must have parked when it runs under weft
    unsigned parks_with_files = 0;      // beside these, with weft run --files
    char const* threads_only = nullptr; // why it can't be run on a spawned fiber
};

struct corner_case {
    std::string_view area; // the source's name
    std::string_view name;
    void (*run)();
    expectation expected;
};

std::vector<corner_case>& all_cases();

struct registration {
    registration(char const* file, char const* name, void (*run)(), expectation const& expected);
};

// NOLINTNEXTLINE(bugprone-macro-parentheses): a name
#define CORNER_CASE(name, ...)                                                                               \
    static void name();                                                                                      \
    static ::corner::registration const name##_registration(__FILE__, #name, name, {__VA_ARGS__});           \
    static void name()

// One line, as of printf(3).
[[gnu::format(printf, 1, 2)]] void say(char const* format, ...);

// One line: `what: result`, with `error`'s name if the result says that the call failed.
void tell_number(char const* what, long long result, int error);
void tell_pointer(char const* what, void const* result, int error);

template <std::integral Result> void tell(char const* what, Result result) {
    tell_number(what, static_cast<long long>(result), errno);
}
template <class Pointee> void tell(char const* what, Pointee* result) { tell_pointer(what, result, errno); }

// Of functions that return an errno.
void tell_code(char const* what, int code);

inline void tell_fact(char const* what, bool is_so) { say("%s: %s", what, is_so ? "yes" : "no"); }

// The name of an errno; "0" for none.
char const* error_name(int error);

#define TELL(...) ::corner::tell(#__VA_ARGS__, (__VA_ARGS__))
#define TELL_CODE(...) ::corner::tell_code(#__VA_ARGS__, (__VA_ARGS__))
#define TELL_FACT(...) ::corner::tell_fact(#__VA_ARGS__, (__VA_ARGS__))

// What a case needs before it begins; ends the process, with the line, if it can't be had.
#define REQUIRE(...) ((__VA_ARGS__) ? void() : ::corner::give_up(__FILE__, __LINE__, #__VA_ARGS__))
[[noreturn]] void give_up(char const* file, int line, char const* what);

class stopwatch {
public:
    [[nodiscard]] bool at_least(std::chrono::milliseconds time) const {
        return clock::now() - start_ >= time;
    }

private:
    using clock = std::chrono::steady_clock;
    clock::time_point start_ = clock::now();
};

} // namespace corner
