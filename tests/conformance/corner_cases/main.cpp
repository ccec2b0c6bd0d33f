// Runs the cases that are named, in this process; --list tells which there are. See corner_case.hpp.
#include <cstdio>

#include "run_cases.hpp"

int main(int argc, char** argv) { return corner::run_cases({argv + 1, argv + argc}); }
