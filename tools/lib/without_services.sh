#!/bin/sh
# without_services.sh COMMAND...: runs, as root, a command that installs packages. The services among them neither start now
# nor at the next boot: the tests start servers of their own, and nobody asked for others.
set -eu

enabled() {
    systemctl list-unit-files --type=service --state=enabled --no-legend 2>/dev/null | cut -d' ' -f1
}

policy=/usr/sbin/policy-rc.d # Debian's packages ask it before they start a service
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

before=$(enabled) || true
"$@"
enabled | grep -vxF -e "$before" | xargs -r systemctl --quiet disable || true
