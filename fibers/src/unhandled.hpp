// What is said of an exception that ended a fiber and that nobody will get.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace weft::detail {

// What the exception says of itself, and its type.
std::string describe(std::exception_ptr const& exception);

// To run_options::on_unhandled, or, outside a run, as print_unhandled() does.
void report_unhandled(std::string_view fiber, std::exception_ptr const& exception) noexcept;

// One line on stderr: the fiber, what(), and the exception's type. The default of run_options::on_unhandled.
void print_unhandled(std::string_view fiber, std::exception_ptr const& exception);

} // namespace weft::detail
