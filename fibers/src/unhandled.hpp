// What is said of an exception that ended a fiber and that nobody will get.
#pragma once

#include <exception>
#include <string_view>

namespace weft::detail {

// One line on stderr: the fiber, what(), and the exception's type. The default of run_options::on_unhandled.
void print_unhandled(std::string_view fiber, std::exception_ptr const& exception);

} // namespace weft::detail
