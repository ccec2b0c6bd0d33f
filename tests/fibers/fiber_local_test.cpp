// fiber_local: everyone's own, made when asked for, gone at the end.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>
#include <weft/fiber_local.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/disturbance.hpp"
#include "support/everywhere.hpp"
#include "support/require.hpp"

namespace {

using support::require;

// Writes its name down when it ends, unless it was moved from.
struct noted {
    noted(std::string& where, char name) : into(&where), letter(name) {}
    noted(noted&& other) noexcept : into(std::exchange(other.into, nullptr)), letter(other.letter) {}
    noted& operator=(noted&&) = delete;
    ~noted() {
        if (into != nullptr)
            *into += letter;
    }

    std::string* into;
    char letter;
};

} // namespace

BOOST_AUTO_TEST_CASE(every_fiber_has_its_own) {
    weft::run([] {
        weft::fiber_local<int> number;
        weft::fiber_local<std::string> text([] { return "fiber " + std::to_string(weft::this_fiber::id()); });
        BOOST_TEST(!number.has_value());
        BOOST_TEST(*number == 0); // value-initialised
        *number = 1;
        std::vector<weft::fiber<>> fibers;
        for (int i = 2; i < 6; ++i)
            fibers.push_back(weft::spawn([&, i] {
                BOOST_TEST(!number.has_value());
                number.get() = i;
                weft::this_fiber::yield();
                BOOST_TEST(*number == i);
                BOOST_TEST(*text == "fiber " + std::to_string(weft::this_fiber::id()));
                BOOST_TEST(text->size() > 6);
            }));
        fibers.clear();
        BOOST_TEST(*number == 1);
        BOOST_TEST(&number.get() == &*number);
        number.reset();
        BOOST_TEST(!number.has_value());
        BOOST_TEST(*number == 0);
    });
}

BOOST_AUTO_TEST_CASE(values_go_with_their_fiber_the_last_made_first) {
    std::string ended;
    weft::fiber_local<noted> a([&] { return noted(ended, 'a'); });
    weft::fiber_local<noted> b([&] { return noted(ended, 'b'); });
    weft::fiber_local<noted> c([&] { return noted(ended, 'c'); });
    weft::run([&] {
        a.get();
        weft::spawn([&] {
            c.get();
            a.get();
            b.get();
            weft::this_fiber::yield();
        }).join();
        BOOST_TEST(ended == "bac");
        b.get();
        a.reset();
        BOOST_TEST(ended == "baca");
    });
    BOOST_TEST(ended == "bacab"); // main's, when the run is over
    ended.clear();
    std::thread([&] {
        b.get();
        c.get();
    }).join();
    BOOST_TEST(ended == "cb");
}

BOOST_AUTO_TEST_CASE(they_are_destroyed_on_the_fiber) {
    struct last_words {
        std::uint64_t& fiber;
        explicit last_words(std::uint64_t& where) : fiber(where) {}
        last_words(last_words&&) = default;
        ~last_words() { fiber = weft::this_fiber::id(); }
    };
    weft::run([] {
        std::uint64_t ended_on = 0;
        weft::fiber_local<last_words> words([&] { return last_words(ended_on); });
        auto fiber = weft::spawn([&] { words.get(); });
        auto const id = fiber.id();
        fiber.join();
        BOOST_TEST(ended_on == id);
    });
    std::uint64_t ended_on = 0;
    std::uint64_t main_id = 0;
    weft::fiber_local<last_words> words([&] { return last_words(ended_on); });
    weft::run([&] {
        words.get();
        main_id = weft::this_fiber::id();
    });
    BOOST_TEST(ended_on == main_id);
    BOOST_TEST(main_id != 0);
}

BOOST_AUTO_TEST_CASE(a_destructor_may_make_and_use_others) {
    struct maker {
        explicit maker(weft::fiber_local<noted>& other) : target(&other) {}
        maker(maker&& other) noexcept : target(std::exchange(other.target, nullptr)) {}
        ~maker() {
            if (target != nullptr)
                target->get();
        }
        weft::fiber_local<noted>* target;
    };
    std::string ended;
    weft::fiber_local<noted> other([&] { return noted(ended, 'x'); });
    weft::fiber_local<maker> makes([&] { return maker(other); });
    auto const in_order = [&] {
        makes.get(); // goes last, and makes the other one again
        other.get();
    };
    weft::run([&] { weft::spawn(in_order).join(); });
    BOOST_TEST(ended == "xx");
    std::thread(in_order).join();
    BOOST_TEST(ended == "xxxx");
}

BOOST_AUTO_TEST_CASE(what_cannot_be_made_is_not_there) {
    bool fail = true;
    weft::fiber_local<int> number([&] {
        if (fail)
            throw std::runtime_error("x");
        return 3;
    });
    BOOST_CHECK_THROW(number.get(), std::runtime_error);
    BOOST_TEST(!number.has_value());
    fail = false;
    BOOST_TEST(*number == 3);
    number.reset();
    number.reset();
}

BOOST_AUTO_TEST_CASE(a_value_outlives_its_variable) {
    std::string ended;
    weft::run([&] {
        auto variable = std::make_unique<weft::fiber_local<noted>>([&] { return noted(ended, 'x'); });
        auto fiber = weft::spawn([&] {
            variable->get();
            weft::this_fiber::yield();
            BOOST_TEST(ended.empty());
        });
        weft::this_fiber::yield();
        variable.reset();
        weft::fiber_local<noted> another([&] { return noted(ended, 'y'); });
        BOOST_TEST(!another.has_value()); // wherever it lies
        fiber.join();
        BOOST_TEST(ended == "x");
    });
}

// A thread's thread_local objects may end after its fiber_local values; what they make then is a thread's, too.
BOOST_AUTO_TEST_CASE(a_threads_last_destructors_may_use_it) {
    static std::string ended;
    static weft::fiber_local<noted> local([] { return noted(ended, 'x'); });
    struct user {
        bool used = false;
        ~user() {
            if (used)
                local.get();
        }
    };
    std::thread([] {
        thread_local user last; // made first, so it goes last
        last.used = true;
        local.get();
    }).join();
    BOOST_TEST(ended == "xx");
}

BOOST_AUTO_TEST_CASE(holds_in_every_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        struct counted {
            explicit counted(int& alive) : count(&alive) { ++alive; }
            counted(counted const& other) : count(other.count), number(other.number) { ++*count; }
            counted& operator=(counted const&) = delete;
            ~counted() { --*count; }
            int* count;
            unsigned number = 0;
        };
        int alive = 0;
        weft::fiber_local<counted> one([&] { return counted(alive); });
        weft::fiber_local<counted> two([&] { return counted(alive); });
        chance.run(5, [&](unsigned which) {
            one->number = which;
            for (int i = 0; i < 3; ++i) {
                chance.pause();
                require(one->number == which, "another fiber's value");
                two->number = which + 1;
                chance.pause();
                require(two->number == which + 1, "another fiber's value");
                if (chance.one_in(3))
                    two.reset();
            }
        });
        require(alive == 0, "a value outlived its fiber");
    });
}

BOOST_AUTO_TEST_CASE(holds_between_workers_and_threads) {
    weft::fiber_local<unsigned> one;
    weft::fiber_local<std::string> two;
    support::everywhere(4, [&](weft::testing::random& draw) {
        for (unsigned i = 0; i < support::rounds_everywhere; ++i) {
            ++*one;
            two->push_back('x');
            if (draw.below(2) == 0)
                weft::this_fiber::yield();
            require(*one == i + 1 && two->size() == i + 1, "another one's value");
        }
    });
}
