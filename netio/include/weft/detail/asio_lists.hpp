// asio_lists: each fiber has lists of its own of what it is inside of in Asio. Asio keeps them per thread: the io_contexts that are run,
// and the strands, of both kinds, whose handlers are called. Among fibers that wait in the midst of these, that would be wrong.
//
// A program that includes this has them exchanged at every switch of its workers: from the first one on, as a fiber may be inside of
// an io_context of its own before any asks for that of its worker.
#pragma once

#include <type_traits>

#include <boost/asio/detail/call_stack.hpp>
#include <boost/asio/detail/strand_executor_service.hpp>
#include <boost/asio/detail/strand_service.hpp>
#include <boost/asio/detail/thread_context.hpp>
#include <boost/asio/detail/thread_info_base.hpp>

#include <weft/detail/switch_exchange.hpp>

namespace weft::detail::asio_lists {

using contexts = boost::asio::detail::call_stack<boost::asio::detail::thread_context,
                                                 boost::asio::detail::thread_info_base>;
using strands = boost::asio::detail::call_stack<boost::asio::detail::strand_executor_service::strand_impl>;
using io_context_strands = boost::asio::detail::call_stack<
    std::remove_pointer_t<boost::asio::detail::strand_service::implementation_type>>;

template <class List> using top_of = boost::asio::detail::tss_ptr<typename List::context>;

// The tops are private members; an explicit instantiation may name them.
struct contexts_tag {
    friend constexpr top_of<contexts>* find_top(contexts_tag) noexcept;
};
struct strands_tag {
    friend constexpr top_of<strands>* find_top(strands_tag) noexcept;
};
struct io_context_strands_tag {
    friend constexpr top_of<io_context_strands>* find_top(io_context_strands_tag) noexcept;
};
template <class Tag, class List, top_of<List>* Top> struct found_top {
    friend constexpr top_of<List>* find_top(Tag /*list*/) noexcept { return Top; }
};
template struct found_top<contexts_tag, contexts, &contexts::top_>;
template struct found_top<strands_tag, strands, &strands::top_>;
template struct found_top<io_context_strands_tag, io_context_strands, &io_context_strands::top_>;

template <class List> void exchange_top(top_of<List>& top, void*& leaving, void* next) noexcept {
    leaving = static_cast<typename List::context*>(top);
    top = static_cast<typename List::context*>(next);
}

inline void exchange_all(library_state& leaving, library_state const& next) noexcept {
    exchange_top<contexts>(*find_top(contexts_tag{}), leaving[0], next[0]);
    exchange_top<strands>(*find_top(strands_tag{}), leaving[1], next[1]);
    exchange_top<io_context_strands>(*find_top(io_context_strands_tag{}), leaving[2], next[2]);
}

inline bool const are_exchanged = (exchange_at_switches(exchange_all), true);

} // namespace weft::detail::asio_lists
