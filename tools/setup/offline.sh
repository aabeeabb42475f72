#!/bin/sh
# Runs a command where there is no network but loopback: sh tools/setup/offline.sh make test
# A network namespace of Linux does that; where it may not be made, it says so and runs nothing.
set -eu
inside='ip link set lo up && exec "$@"'
for options in -n -rn; do # as root, or with a user namespace
    if unshare $options true 2>/dev/null; then
        export OFFLINE=1
        exec unshare $options sh -c "$inside" sh "$@"
    fi
done
echo "No network namespace may be made here (unshare -n): not run offline." >&2
exit 75
