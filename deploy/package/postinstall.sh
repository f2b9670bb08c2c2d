#!/bin/sh
# The service is not started: a node that starts before it is configured is a cluster of
# one, and its data directory stays one. Neither is it restarted after an upgrade: that
# is for one member after the other.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if systemctl is-active --quiet raftredis; then
		echo "raftredis goes on as the old version: systemctl restart raftredis, one member after the other."
	fi
fi
