"""What applications do with redis-py, and then a job queue: scripts add jobs and take them, with a
lease, so that what a lost reply has taken is taken again."""

import threading
import time

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from program import address, expect, jobs, produce, run, say, until, wait_for_end

ADD = "if redis.call('SADD', KEYS[2], ARGV[1]) == 1 then redis.call('LPUSH', KEYS[1], ARGV[1]) end"
# To the time when the lease ends, or the jobs whose lease has ended.
TAKE = """
local now = redis.call('TIME')[1]
local id = redis.call('ZRANGEBYSCORE', KEYS[2], 0, now, 'LIMIT', 0, 1)[1] or redis.call('RPOP', KEYS[1])
if id then redis.call('ZADD', KEYS[2], now + 5, id) end
return id
"""


def connect(**options):
    host, port = address()
    return redis.Redis(host=host, port=port, decode_responses=True, **options)


def main():
    features(connect(client_name="redis-py"))
    retry = {"retry": Retry(ConstantBackoff(0.1), 5), "retry_on_error": [redis.ConnectionError, redis.BusyLoadingError]}
    client = connect(**retry)
    add = client.register_script(ADD)
    ending = threading.Event()
    workers = [threading.Thread(target=work, args=(ending, retry)) for _ in range(3)]
    for w in workers:
        w.start()
    produce(lambda id: add(keys=["jobs", "seen"], args=[id]))
    wait_for_end()
    # A job that nobody has heard of may have been taken in a reply that nobody has got: its lease has to end first.
    until("nothing is left", lambda: [client.llen("jobs"), client.zcard("leased")] == [0, 0])
    ending.set()
    for w in workers:
        w.join()
    expect("left", [client.llen("jobs"), client.zcard("leased")], [0, 0])


def work(ending, retry):
    client = connect(**retry)
    take = client.register_script(TAKE)
    while not ending.is_set():
        try:
            id = take(keys=["jobs", "leased"])
        except redis.RedisError:
            time.sleep(0.05)
            continue
        if id is None:
            time.sleep(0.005)
            continue
        say("ran", id)
        while True:
            try:
                client.zrem("leased", id)
                break
            except redis.RedisError:
                time.sleep(0.05)


def features(client):
    with client.pipeline() as pipe:
        pipe.set("n", 1).incr("n").hset("h", mapping={"a": 1, "b": "two"}).hgetall("h").zadd("z", {"x": 1.5}).zrange("z", 0, -1, withscores=True)
        expect("transaction", pipe.execute(), [True, 2, 2, {"a": "1", "b": "two"}, 1, [("x", 1.5)]])
        pipe.set("n", "x").lpush("n", 1).get("n")
        replies = pipe.execute(raise_on_error=False)
        expect("an error in a transaction", str(replies[1]), "WRONGTYPE Operation against a key holding the wrong kind of value")
        pipe.watch("n")
        client.set("n", 5)
        pipe.multi()
        pipe.set("n", 0)
        try:
            pipe.execute()
            raise AssertionError("a transaction over a key that has changed")
        except redis.WatchError:
            pass

    script = client.register_script("return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1]), cjson.encode({ARGV[1]})}")
    expect("script", script(keys=["n"], args=[2]), ["n", 7, '["2"]'])
    client.script_flush()
    expect("script after a flush", script(keys=["n"], args=[2]), ["n", 9, '["2"]'])

    # Locks are scripts; one that has expired is somebody else's.
    with client.lock("lock", timeout=10) as lock:
        expect("a lock that is taken", client.lock("lock", timeout=10, blocking=False).acquire(), False)
        lock.extend(5)
        expect("owned", lock.owned(), True)
        client.delete("lock")
        try:
            lock.release()
            raise AssertionError("a lock was released that was lost")
        except redis.exceptions.LockError:
            pass
        lock.local.token = None
        lock.acquire()

    heard = []
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(news=lambda m: heard.append(m["data"]))
    pubsub.psubscribe(**{"n*s": lambda m: heard.append((m["pattern"], m["channel"], m["data"]))})
    thread = pubsub.run_in_thread(sleep_time=0.01)
    until("subscribed", lambda: client.pubsub_numsub("news") == [("news", 1)] and client.pubsub_numpat() == 1)
    expect("publish", client.publish("news", "hello"), 2)
    until("heard", lambda: len(heard) == 2)
    expect("heard", heard, ["hello", ("n*s", "news", "hello")])
    thread.stop()
    thread.join()

    # A user that may do less, and the replies that the library takes apart.
    client.acl_setuser("reader", enabled=True, passwords=["+secret"], keys=["h*"], categories=["+@read"])
    reader = connect(username="reader", password="secret")
    expect("whoami of another", reader.hgetall("h"), {"a": "1", "b": "two"})
    for denied in (lambda: reader.hset("h", "a", 2), lambda: reader.get("n")):
        try:
            denied()
            raise AssertionError("a user did what it may not")
        except redis.exceptions.NoPermissionError:
            pass
    expect("acl_getuser", client.acl_getuser("reader")["categories"], ["-@all", "+@read"])
    expect("acl_deluser", client.acl_deluser("reader"), 1)
    expect("info", client.info("server")["redis_mode"], "standalone")
    expect("client", client.client_info()["name"], "redis-py")
    expect("command", client.command_count() > 200, True)

    client.xgroup_create("s", "g", id="0", mkstream=True)
    id = client.xadd("s", {"f": "v"})
    expect("xreadgroup", client.xreadgroup("g", "c", {"s": ">"}), [["s", [(id, {"f": "v"})]]])
    expect("xpending", client.xpending("s", "g")["pending"], 1)
    expect("xinfo", client.xinfo_groups("s")[0]["name"], "g")
    client.mset({f"key:{i}": i for i in range(500)})
    expect("scan", len(set(client.scan_iter("key:*", count=50))), 500)


run(main)
