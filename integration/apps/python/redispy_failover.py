"""Writes on and on with redis-py, which looks for the leader by itself in one of two dialects."""

import sys

from redis.cluster import ClusterNode, RedisCluster
from redis.sentinel import Sentinel

from program import hosts, keep_writing, run


def connect():
    options = {"socket_timeout": 1, "socket_connect_timeout": 1, "decode_responses": True}
    if sys.argv[3] == "cluster":
        return RedisCluster(startup_nodes=[ClusterNode(*h) for h in hosts()], **options)
    return Sentinel(hosts(), socket_timeout=1).master_for("mymaster", **options)


def main():
    client = connect()
    keep_writing(client.set, client.get)


run(main)
