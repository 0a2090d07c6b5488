#!/bin/sh
# Creates the server's user and the settings folder. It starts no service: the owner decides what a machine runs.
# After an upgrade, running services continue with the old program until they are restarted.
set -e
if command -v systemd-sysusers >/dev/null; then systemd-sysusers drover.conf; fi
if command -v systemd-tmpfiles >/dev/null; then systemd-tmpfiles --create drover.conf || true; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
