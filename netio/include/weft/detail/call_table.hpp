// call_table: the names of libc that weft defines, and how it carries each out. docs/reference/patched-calls.md is checked against it,
// `weft doctor` reads it, and so does the check that programs really call ours.
#pragma once

#include <cstdint>
#include <span>

namespace weft::detail {

enum class call_kind : std::uint8_t {
    parks,    // where libc's would block the thread, the fiber waits
    offloads, // another thread makes the call, the fiber waits for it
    disk,  // waits for a disk or a lock on a file: libc's own, or offloaded if patch_options::files says so
    notes, // doesn't wait; weft must know of it
};

struct patched_call {
    char const* name;
    call_kind kind;
    void (*address)(); // of our function
};

// Sorted by name.
std::span<patched_call const> patched_calls() noexcept;

// Whether syscall(number, ...) is made as the patched function of that name makes it.
bool is_patched_system_call(long number) noexcept;

// The ELF section that files with the patch layer inside carry, a note, so that it can be told from without, and survives strip.
inline constexpr char const* patch_layer_section = ".note.weft";

} // namespace weft::detail
