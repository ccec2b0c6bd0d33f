// sync_object: what everything that fibers wait for by weft's own means can say of itself.
#pragma once

#include <cstddef>
#include <string>

namespace weft::detail {

class sync_object {
public:
    sync_object(sync_object const&) = delete;
    sync_object& operator=(sync_object const&) = delete;

    // What it was called when it was made; empty if nothing.
    [[nodiscard]] char const* name() const noexcept { return name_; }

    // For messages: mutex "accounts".
    [[nodiscard]] std::string describe() const;

    // The one that must act for a wait to end, as lock_owner() numbers it; 0 if that can't be told. Not exact while other threads run.
    [[nodiscard]] virtual int holder() const noexcept { return 0; }

protected:
    // String literals, or what outlives the object. `kind` as the class is called.
    constexpr sync_object(char const* kind, char const* name) noexcept : kind_(kind), name_(name) {}
    virtual ~sync_object() = default;

    // For the message of an exception: weft::mutex "accounts": ...
    [[nodiscard]] std::string complain(char const* what) const;

private:
    char const* kind_;
    char const* name_;
};

// fiber 12, thread 345: who it is that lock_owner() numbers so.
std::string describe_owner(int owner);

} // namespace weft::detail
