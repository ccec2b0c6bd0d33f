# shellcheck shell=bash disable=SC2154 # some names come from ui.sh
# Configures and builds one CMake preset, doing as little as possible. Sourced after ui.sh; the current folder
# must be the top of the tree, where CMake looks for presets.

# needs_configure DIR: no complete configuration yet, or one that CMakePresets.json has left behind. What
# changes in CMakeLists.txt files ninja notices itself.
needs_configure() {
    [[ ! -f $1/build.ninja || CMakePresets.json -nt $1/build.ninja ]] && return 0
    [[ -n ${WEFT_WARNINGS_AS_ERRORS:-} ]] &&
        ! grep -qx "WEFT_WARNINGS_AS_ERRORS:BOOL=$WEFT_WARNINGS_AS_ERRORS" "$1/CMakeCache.txt"
}

# configure_preset PRESET: configures build/PRESET where that is needed. The lock (held by the command, not
# by us) keeps two runs of the tools from working in one folder at once.
configure_preset() {
    local preset=$1 dir="build/$1" log="$log_dir/configure-$1.log"
    local -a options=()
    command -v cmake >/dev/null || fail "cmake is not installed; install CMake 3.25 or newer, Ninja and a C++20 compiler, then run $self again"
    # A tree that was moved or copied: the old cache would only make CMake refuse.
    if [[ -f $dir/CMakeCache.txt ]] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$dir/CMakeCache.txt"; then
        options+=(--fresh)
    elif ! needs_configure "$dir"; then
        return 0
    fi
    [[ -z ${WEFT_WARNINGS_AS_ERRORS:-} ]] || options+=("-DWEFT_WARNINGS_AS_ERRORS=$WEFT_WARNINGS_AS_ERRORS")
    run_logged "configuring $preset" "$log" \
        flock --close "$log_dir/$preset.lock" cmake --preset "$preset" "${options[@]}" || {
        show_excerpt "$log"
        fail "configuring preset $preset failed (log: $log); mend the cause above, or remove $root/$dir, and run $self again"
    }
}

# build_preset PRESET [TARGET...]: configures build/PRESET and builds it, or only these targets of it. Ninja decides
# what there is to do.
build_preset() {
    local preset=$1 log="$log_dir/build-$1.log"
    local -a only=()
    (($# == 1)) || only=(--target "${@:2}")
    configure_preset "$preset"
    run_logged "building $preset" "$log" \
        flock --close "$log_dir/$preset.lock" cmake --build --preset "$preset" "${only[@]}" || {
        show_excerpt "$log"
        fail "building preset $preset failed (log: $log); mend the error above and run $self again"
    }
}
