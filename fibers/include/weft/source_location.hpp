// source_location: file and line of a place in the program's source. As std::source_location, which not every compiler has that weft is built
// with, and which is converted to it.
#pragma once

#include <cstdint>
#include <version>

#ifdef __cpp_lib_source_location
#include <source_location>
#endif

namespace weft {

class source_location {
public:
    constexpr source_location() noexcept = default;
#ifdef __cpp_lib_source_location
    constexpr source_location(
        std::source_location const& place) noexcept // NOLINT(google-explicit-constructor)
        : file_(place.file_name()), line_(place.line()) {}
#endif

    // Where it is called, or, as a default argument, where the function is called that has it.
    static constexpr source_location current(char const* file = __builtin_FILE(),
                                             std::uint_least32_t line = __builtin_LINE()) noexcept {
        source_location here;
        here.file_ = file;
        here.line_ = line;
        return here;
    }

    // Empty, and 0, if unknown.
    [[nodiscard]] constexpr char const* file_name() const noexcept { return file_; }
    [[nodiscard]] constexpr std::uint_least32_t line() const noexcept { return line_; }

private:
    char const* file_ = "";
    std::uint_least32_t line_ = 0;
};

} // namespace weft
