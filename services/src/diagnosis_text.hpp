// A diagnosis as text for people.
#pragma once

#include <string>
#include <string_view>

#include "diagnosis.hpp"

namespace weft::services {

// Lines, each with its newline.
std::string describe(diagnosis const& found);

// `text` with what may confuse a terminal, or is no UTF-8, as \xNN: names of files may be a stranger's.
std::string printable(std::string_view text);

} // namespace weft::services
