// run_cases: the command line of the programs that are made of the cases.
#pragma once

#include <string_view>
#include <vector>

namespace corner {

// --list prints a line for each case: its name, and what is expected of it. Other arguments are names, of which there
// is one as a rule: cases leave the process as it is.
int run_cases(std::vector<std::string_view> const& arguments);

} // namespace corner
