"""A Celery application, its worker in processes of its own, and the client that gives it
tasks: each kind once, and then jobs. Broker and results are in Redis."""

import os
import subprocess
import sys
import time

import celery
import redis
from celery import chain, chord, group

from program import expect, produce, run, say, until, wait_for_end

url = os.environ.get("APPS_URL") or f"redis://{sys.argv[1]}"
app = celery.Celery("celery_app", broker=f"{url}/0", backend=f"{url}/1")
app.conf.update(
    broker_transport_options={"visibility_timeout": 5},  # until a task that nobody acknowledged is delivered again
    broker_connection_max_retries=None,
    broker_connection_timeout=1,
    broker_pool_limit=4,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    redis_retry_on_timeout=True,
    result_extended=True,
)


@app.task
def job(id):
    say("ran", id)


@app.task
def add(x, y):
    return x + y


@app.task(bind=True, max_retries=5)
def fail_twice(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.2)
    return self.request.retries


@app.task
def fail():
    raise ValueError("never")


@app.task
def total(numbers):
    return sum(numbers)


def main():
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-q", "-A", "celery_app", "worker", "-c", "2", "-l", "WARNING", "--without-mingle"],
        cwd=os.path.dirname(os.path.abspath(__file__)),
        env={**os.environ, "APPS_URL": url, "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    failed = 0
    try:
        features()
        # Not tried again by the library: it cannot know whether the task is there.
        failed = produce(lambda id: job.apply_async([id], ignore_result=True, retry=False))
        wait_for_end()
        broker = redis.Redis.from_url(f"{url}/0")
        until("nothing is left", lambda: broker.llen("celery") == 0)
    finally:
        status = stop(worker, failed > 0)
    expect("the worker's exit status", status, 0)


def stop(worker, server_died):
    """Stops the worker and returns its exit status. One whose connection broke when it had
    taken a task and not yet written that down may wait for that task for ever, with
    redis-server as well. Whether a task is missing is not for it to say. Without such a
    cause, the test's patience ends the wait."""
    worker.terminate()
    try:
        return worker.wait(20 if server_died else None)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
        return 0


def features():
    until("a worker", lambda: app.control.ping(timeout=0.5))
    expect("a result", add.delay(1, 2).get(timeout=60), 3)
    begin = time.time()
    expect("a task with a countdown", add.apply_async([1, 2], countdown=0.3).get(timeout=60), 3)
    expect("it waited", time.time() - begin >= 0.3, True)
    expect("a task that fails twice", fail_twice.delay().get(timeout=60), 2)
    try:
        fail.delay().get(timeout=60)
        raise AssertionError("it did not fail")
    except ValueError as err:
        expect("failure", str(err), "never")
    expect("a chain", chain(add.s(1, 2), add.s(3), add.s(4)).delay().get(timeout=60), 10)
    expect("a group", group(add.s(i, i) for i in range(10)).delay().get(timeout=60), [2 * i for i in range(10)])
    expect("a chord", chord((add.s(i, i) for i in range(10)), total.s()).delay().get(timeout=60), 90)

    # Revoked through the workers' broadcast channel.
    revoked = add.apply_async([1, 2], countdown=1)
    revoked.revoke()
    try:
        revoked.get(timeout=60)
        raise AssertionError("a revoked task ran")
    except celery.exceptions.TaskRevokedError:
        pass
    forgotten = add.delay(1, 2)
    forgotten.get(timeout=60)
    forgotten.forget()
    expect("a forgotten result", app.AsyncResult(forgotten.id).state, "PENDING")


if __name__ == "__main__":
    run(main)
