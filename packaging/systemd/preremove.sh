#!/bin/sh
# Stops both services when the package goes, and not when it is upgraded. deb says "remove" or "upgrade", rpm how many are left.
set -e
case "${1:-}" in
remove | 0)
	if [ -d /run/systemd/system ]; then systemctl --no-reload disable --now drover-server.service drover-agent.service || true; fi
	;;
esac
