#!/bin/sh
# Makes the server's user and the folder of settings. Starts nothing: what a machine is to be, its owner says. After an
# upgrade what runs goes on with the old program until it is restarted.
set -e
if command -v systemd-sysusers >/dev/null; then systemd-sysusers drover.conf; fi
if command -v systemd-tmpfiles >/dev/null; then systemd-tmpfiles --create drover.conf || true; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
