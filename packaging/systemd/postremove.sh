#!/bin/sh
# The log in /var/lib/drover, the data of agents in /var/lib/drover-agent, and the user remain: the package must not
# delete them.
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
