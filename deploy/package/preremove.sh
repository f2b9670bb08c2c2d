#!/bin/sh
# $1 is "upgrade" in Debian and 1 or more with rpm when another version comes.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now raftredis
	fi
	;;
esac
