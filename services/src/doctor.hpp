// `weft doctor`: what of a program's calls would be patched, for people or as JSON.
#pragma once

#include <string>
#include <vector>

#include "diagnosis.hpp"

namespace weft::services {

struct doctor_options {
    std::vector<std::string> names; // programs or shared libraries
    diagnosis_options diagnosis;
    bool json = false;
};

// Prints what is found to stdout. Returns the exit code: 0, or 1 if something that blocks stays unpatched; or that of the first
// program_error, having said what it is on stderr.
int run_doctor(doctor_options const& options);

} // namespace weft::services
