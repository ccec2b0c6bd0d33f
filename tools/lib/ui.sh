# shellcheck shell=bash
# How the tools speak: one line for each step that takes a while, nothing for one that does not, and one
# clear line for a failure. Everything goes to standard error; standard output belongs to the programs run.
# Sourced, never run. Sets `root`, the top of the tree, for its readers.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
log_dir="$root/build/log"
self="tools/${0##*/}"

say() {
    printf '%s: %s\n' "$self" "$*" >&2
}

# fail LINE: what failed, to what, and what to do next.
fail() {
    say "$*"
    exit 1
}

# show_excerpt LOG: the part of a log that most likely tells the cause: from the first error on, or its end;
# without the compiler's command lines.
show_excerpt() {
    local first
    first=$(grep -nEm1 '(^|[^[:alnum:]_])(fatal error|error):|^FAILED:|^CMake Error|^E: ' "$1" | cut -d: -f1) || true
    if [[ -n $first ]]; then
        sed -n "${first},$((first + 11))p" "$1"
    else
        tail -n 12 "$1"
    fi | sed -e '/ -o [^ ]*\.o -c /d; /^: && /d' | cut -c1-200 | sed 's/^/    /' >&2
}

# The body of run_logged's background reporter: on a terminal one line that is rewritten, else now and then
# a new one. It says nothing for the first second, so that steps with nothing to do stay silent.
report_progress() {
    local label=$1 log=$2 parent=$3 line columns=80 ticks=0 nothing
    # Waits by reading from a pipe that stays empty: a `sleep` would outlive us and hold our output open.
    exec {nothing}<> <(:)
    read -rt 1 -u "$nothing" || true
    if [[ -t 2 ]]; then
        read -r _ columns < <(stty size <&2) || true
    else
        say "$label (log: $log)"
    fi
    while kill -0 "$parent" 2>/dev/null; do
        line=$(tail -n 1 "$log" 2>/dev/null | tr -d '\r' | tr '\t' ' ') || true
        if [[ -t 2 ]]; then
            line="$label: $line"
            printf '\r\033[K%s' "${line:0:columns-1}" >&2
            read -rt 0.2 -u "$nothing" || true
        else
            ((ticks += 1))
            ((ticks % 15 != 0)) || printf '    %s\n' "${line:0:140}" >&2
            read -rt 1 -u "$nothing" || true
        fi
    done
}

# Ends the reporter, and waits for it so that it can print nothing late.
reporter=
stop_reporter() {
    [[ -n $reporter ]] || return 0
    kill "$reporter" 2>/dev/null || true
    wait "$reporter" 2>/dev/null || true
    reporter=
    [[ ! -t 2 ]] || printf '\r\033[K' >&2
}
trap stop_reporter EXIT
trap 'stop_reporter; say interrupted; exit 130' INT
trap 'stop_reporter; say terminated; exit 143' TERM

# run_logged LABEL LOG COMMAND...: runs the command with its output in LOG and shows progress while it takes
# long. The command stays in the foreground, so that Ctrl-C reaches it; only the reporter runs beside it.
# Returns the command's status; the caller says what a failure means.
run_logged() {
    local label=$1 log=$2 start=$SECONDS status=0
    shift 2
    : >"$log"
    report_progress "$label" "$log" "$$" &
    reporter=$!
    "$@" >>"$log" 2>&1 </dev/null || status=$?
    stop_reporter
    if ((status == 0 && SECONDS - start >= 2)); then
        say "$label: done in $((SECONDS - start)) s"
    fi
    return "$status"
}

# Logs and builds live under build/: say so plainly where this user may not write there.
need_writable_build() {
    mkdir -p "$log_dir" 2>/dev/null || true
    [[ -w $log_dir ]] ||
        fail "cannot write to $log_dir as user $(id -un); run as the owner of the tree, or use a checkout of your own"
}
