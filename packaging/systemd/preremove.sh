#!/bin/sh
# Stops both services when the package is removed, but not on upgrades. deb passes "remove" or "upgrade", rpm the
# number of remaining versions.
set -e
case "${1:-}" in
remove | 0)
	if [ -d /run/systemd/system ]; then systemctl --no-reload disable --now drover-server.service drover-agent.service || true; fi
	;;
esac
