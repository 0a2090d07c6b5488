#!/bin/sh
# The log in /var/lib/drover, what agents know in /var/lib/drover-agent, and the user stay: they are not the package's to delete.
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
