// handle: an object of a C library, released by the library's function for that.
#pragma once

#include <memory>

namespace clients {

template <auto Release> struct released_by {
    template <class T> void operator()(T* object) const { Release(object); }
};

template <class T, auto Release> using handle = std::unique_ptr<T, released_by<Release>>;

} // namespace clients
