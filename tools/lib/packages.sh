# shellcheck shell=bash disable=SC2154,SC2034 # some names come from ui.sh, some are for our reader
# Which of the distribution's packages the tree needs, and how they get installed when they are missing.
# Sourced after ui.sh. The one list of packages: the README and CI refer to it.

# Debian 12's default Boost is 1.74, too old, but it carries 1.81 beside it under versioned names. Everything
# newer has 1.83 or later as its default.
boost_version=
if grep -qsE '^VERSION_CODENAME="?bookworm"?$' /etc/os-release; then
    boost_version=1.81
fi

# CPython's own tests, in the version of the distribution's python3.
python_version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null ||
    apt-cache policy python3 2>/dev/null | sed -n 's/^ *Candidate: \([0-9]*\.[0-9]*\).*/\1/p') || true
python_tests="libpython${python_version:-3.11}-testsuite"

build_packages=(
    cmake ninja-build g++ pkg-config
    "libboost${boost_version}-dev" "libboost-fiber${boost_version}-dev"
    "libboost-context${boost_version}-dev" "libboost-test${boost_version}-dev"
    libcli11-dev libfmt-dev libelf-dev python3
)

# Only the tests, the lint and the measurements use these.
test_packages=(
    git clang-format clang-tidy shellcheck
    curl netcat-openbsd wrk apache2-utils procps
    "$python_tests"
    # Client libraries and what they talk to, for tests/clients. nginx can wait before it answers with that module only.
    libpq-dev postgresql libmariadb-dev mariadb-server-core libhiredis-dev redis-server
    libcurl4-openssl-dev nginx libnginx-mod-http-echo libssh2-1-dev openssh-server libcpp-httplib-dev
    libpython3-dev
    # What the guide's programs are set beside, for tests/docs.
    python3-gevent python3-tornado
)

# missing_packages NAME...: those that are not installed, one a line. One dpkg-query for all of them.
missing_packages() {
    local installed
    # dpkg-query fails when it does not know some name: that name is what we are after.
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p') || true
    printf '%s\n' "$@" | grep -vxF -e "$installed" || true
}

# Fills `as_root` with what runs a command as root: nothing, or sudo. Returns 1 where this user may not.
become_root() {
    as_root=()
    ((EUID != 0)) || return 0
    command -v sudo >/dev/null || return 1
    as_root=(sudo)
    sudo -n true 2>/dev/null && return 0
    # A password is needed: ask now, before the progress line, and only where somebody can answer.
    [[ -t 0 && -t 2 ]] && sudo -v -p "$self: installing packages needs the password of %u: "
}

# install_packages NAME...: installs what is missing among them. Silent and quick when nothing is.
install_packages() {
    local missing command removed found log="$log_dir/packages.log"
    local -a as_root
    [[ -z ${WEFT_NO_INSTALL:-} ]] || return 0
    # Another system than Debian: the packages' names mean nothing there, CMake says what it lacks.
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || return 0

    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    command="apt-get install ${missing[*]}"
    become_root || fail "packages are missing and user $(id -un) may not install them; as root run: apt-get update && $command"

    say "installing ${#missing[@]} packages: ${missing[*]}"
    run_logged 'reading the package lists' "$log" "${as_root[@]}" apt-get -q update ||
        say "apt-get update failed (log: $log); going on with the lists at hand"

    if [[ -z $boost_version && " ${missing[*]} " == *' libboost-dev '* ]]; then
        found=$(apt-cache policy libboost-dev | sed -n 's/^ *Candidate: //p')
        dpkg --compare-versions "${found:-0}" ge 1.81 ||
            fail "this distribution's Boost is ${found:-missing}, weft needs 1.81; use Debian 12 or newer, or install Boost yourself and set WEFT_NO_INSTALL=1"
    fi

    # Never take anything away: two versions of Boost's headers cannot be installed side by side.
    removed=$(apt-get -s install "${missing[@]}" 2>/dev/null | sed -n 's/^Remv \([^ ]*\).*/\1/p' | tr '\n' ' ') || true
    [[ -z $removed ]] ||
        fail "installing ${missing[*]} would remove ${removed% }; if you can spare that, run: ${as_root[*]:+sudo }$command"

    run_logged "installing ${#missing[@]} packages" "$log" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        sh "$root/tools/lib/without_services.sh" \
        apt-get -q -y --no-remove --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 \
        install "${missing[@]}" || {
        show_excerpt "$log"
        fail "installing packages failed (log: $log); mend the cause above, or run by hand: ${as_root[*]:+sudo }$command"
    }
}
