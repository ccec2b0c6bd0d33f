// fiber_local<T>: a variable of which every fiber has its own. As thread_local, for fibers.
//
//     weft::fiber_local<std::string> request_id;
//     ...
//     *request_id = "42"; // this fiber's
//
// A fiber's value is made when the fiber first asks for it, and destroyed when the fiber ends, on the fiber, the last made first. A plain
// thread has a value of its own, as if it were a fiber. The fiber_local itself may be a global or a member; values that are left when
// it is destroyed live until their fibers end.
//
// Fibers don't move between threads, so thread_local stays what it is: one for all fibers of a worker.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace weft {

namespace detail {

// A fiber_local's number, never used again.
enum class local_key : std::uint64_t {};
local_key make_local_key() noexcept;

// The caller's value; null if there is none.
void* find_local(local_key key) noexcept;
// `value` becomes the caller's, which has none yet, to be destroyed by `destroy`. Throws std::bad_alloc.
void set_local(local_key key, void* value, void (*destroy)(void*) noexcept);
void reset_local(local_key key) noexcept;

} // namespace detail

template <class T> class fiber_local {
public:
    // Values are value-initialised.
    fiber_local() : fiber_local([] { return T(); }) {}
    // Values are what make() returns, called on the fiber concerned.
    explicit fiber_local(std::function<T()> make) : key_(detail::make_local_key()), make_(std::move(make)) {}
    fiber_local(fiber_local const&) = delete;
    fiber_local& operator=(fiber_local const&) = delete;
    ~fiber_local() = default;

    // The caller's value. Throws what making it throws.
    T& get() {
        if (void* const value = detail::find_local(key_))
            return *static_cast<T*>(value);
        std::unique_ptr<T> made(new T(make_()));
        detail::set_local(key_, made.get(), [](void* value) noexcept { delete static_cast<T*>(value); });
        return *made.release();
    }
    T& operator*() { return get(); }
    T* operator->() { return &get(); }

    // Whether the caller has a value yet.
    [[nodiscard]] bool has_value() const noexcept { return detail::find_local(key_) != nullptr; }

    // Destroys the caller's value, if it has one.
    void reset() noexcept { detail::reset_local(key_); }

private:
    detail::local_key const key_;
    std::function<T()> const make_;
};

} // namespace weft
