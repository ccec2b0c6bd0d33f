#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>

#include <boost/test/unit_test.hpp>

#include <weft/testing/seed.hpp>

namespace {

// The variable as it was is the test's own seed.
class given_seed {
public:
    explicit given_seed(char const* value) {
        if (char const* const present = std::getenv("WEFT_TEST_SEED"))
            before_ = present;
        value != nullptr ? ::setenv("WEFT_TEST_SEED", value, 1) : ::unsetenv("WEFT_TEST_SEED");
    }
    given_seed(given_seed const&) = delete;
    given_seed& operator=(given_seed const&) = delete;
    ~given_seed() {
        before_.empty() ? ::unsetenv("WEFT_TEST_SEED") : ::setenv("WEFT_TEST_SEED", before_.c_str(), 1);
    }

private:
    std::string before_;
};

} // namespace

BOOST_AUTO_TEST_CASE(the_environment_says_the_seed) {
    given_seed const given("4294967295");
    BOOST_TEST(weft::testing::seed() == 4294967295U);
    BOOST_TEST(weft::testing::seed() == 4294967295U);
}

BOOST_AUTO_TEST_CASE(else_it_is_drawn) {
    given_seed const none(nullptr);
    std::set<std::uint32_t> seeds;
    for (int i = 0; i < 20; ++i)
        seeds.insert(weft::testing::seed());
    BOOST_TEST(seeds.size() > 1U);
}

BOOST_AUTO_TEST_CASE(what_is_no_seed_is_not_passed_over) {
    for (char const* const wrong : {"", "twelve", "12 ", "-1", "4294967296"}) {
        given_seed const given(wrong);
        BOOST_CHECK_THROW(weft::testing::seed(), std::invalid_argument);
    }
}
