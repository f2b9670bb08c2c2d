#!/bin/sh
# Data is left where it is, also by purge: it may be the only copy of what was acknowledged.
set -e
if [ "$1" = purge ]; then
	rm -rf /var/log/raftredis
	if [ -d /var/lib/raftredis ] && ! rmdir /var/lib/raftredis 2>/dev/null; then
		echo "raftredis: /var/lib/raftredis has data, and stays."
	fi
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
