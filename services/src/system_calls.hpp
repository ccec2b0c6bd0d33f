// system_calls: where code makes system calls by itself, past libc's functions, as far as its bytes tell.
//
// Code is searched for patterns, not taken apart: for the instruction, or a call of libc's syscall(), and before it what loads the
// number. So a finding is probable, not sure; and a number that comes from further away isn't found.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "elf_file.hpp"

namespace weft::services {

enum class instruction_set : std::uint8_t { x86_64, arm64 };

#if defined(__x86_64__)
inline constexpr instruction_set own_instruction_set = instruction_set::x86_64;
#else
inline constexpr instruction_set own_instruction_set = instruction_set::arm64;
#endif

struct system_call {
    std::uint64_t address = 0;
    std::optional<unsigned> number; // nothing: can't be told
};

// The system calls made by the instruction itself.
std::vector<system_call> find_system_calls(instruction_set machine, std::span<elf_code const> code);

// The calls of libc's syscall(), which the code calls through one of `pointers`.
std::vector<system_call> find_calls_of_syscall(instruction_set machine, std::span<elf_code const> code,
                                               std::span<std::uint64_t const> pointers);

// The name of the system call `number` of this machine if it may wait for something else than the disk; null otherwise.
char const* blocking_system_call(unsigned number) noexcept;

} // namespace weft::services
