#!/bin/sh
# For .deb and .rpm alike. The user comes before the files that belong to it.
set -e
if ! getent group raftredis >/dev/null; then
	groupadd --system raftredis
fi
if ! getent passwd raftredis >/dev/null; then
	useradd --system --gid raftredis --home-dir /var/lib/raftredis --no-create-home --shell /usr/sbin/nologin --comment raftredis raftredis
fi
