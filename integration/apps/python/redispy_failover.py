"""Writes on and on with redis-py, which looks for the leader by itself in one of two dialects."""

import sys

from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.sentinel import Sentinel

from program import hosts, keep_writing, run


def connect():
    options = {"socket_timeout": 1, "socket_connect_timeout": 1, "decode_responses": True}
    if sys.argv[3] == "cluster":
        return RedisCluster(startup_nodes=[ClusterNode(*h) for h in hosts()], **options)
    return Sentinel(hosts(), socket_timeout=1).master_for("mymaster", **options)


class Client:
    """A client that is made anew when it gives up: once a node that 4.3 has asked for the
    slots has died, it fails to copy its own options for a new connection, for ever."""

    def __init__(self):
        self.client = connect()

    def do(self, command, *args, **options):
        try:
            return getattr(self.client, command)(*args, **options)
        except RedisClusterException:
            self.client = connect()
            raise


def main():
    client = Client()
    # A cluster's client does not know where to send a command whose keys it does not see: any master will do.
    target = {"target_nodes": RedisCluster.PRIMARIES} if sys.argv[3] == "cluster" else {}
    keep_writing(
        lambda key, value: client.do("set", key, value),
        lambda key: client.do("get", key),
        lambda *args: client.do("execute_command", *args, **target),
    )


run(main)
