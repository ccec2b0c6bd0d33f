// vfork: the child borrows its parent's memory until it runs another program or ends, thread-local variables included. What
// it does to its own descriptors must not be taken for the parent's doing, and none of its calls may switch fibers.
#pragma once

namespace weft::detail {

// Whether the caller runs in such a child.
extern __thread bool in_vfork_child __attribute__((tls_model("initial-exec")));

} // namespace weft::detail
