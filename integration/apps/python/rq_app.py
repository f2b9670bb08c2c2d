"""RQ: a worker that forks a process for every job, and the client that enqueues them: each feature
once, and then jobs."""

import datetime
import os
import subprocess
import sys
import threading
import time

import redis
import rq
from rq.job import Job, JobStatus
from rq.registry import FinishedJobRegistry, ScheduledJobRegistry

from program import address, expect, produce, run, say, until, wait_for_end


def connect():
    host, port = address()
    return redis.Redis(host=host, port=port)


def work(id):
    say("ran", id)


def add(x, y):
    return x + y


def fail_twice():
    job = rq.get_current_job()
    job.meta["tries"] = job.meta.get("tries", 0) + 1
    job.save_meta()
    if job.meta["tries"] < 3:
        raise ValueError("not yet")
    return job.meta["tries"]


def fail():
    raise ValueError("never")


def main():
    ending = threading.Event()
    supervisor = threading.Thread(target=supervise, args=(ending,))
    supervisor.start()
    client = connect()
    features(client)
    queue = rq.Queue("work", connection=client)
    produce(lambda id: queue.enqueue(work, id, job_id="job-" + id, result_ttl=60))
    wait_for_end()
    until("nothing is left", lambda: queue.count == 0)
    ending.set()
    supervisor.join()


def supervise(ending):
    """Starts the worker again when it dies, as it does with its connection if it is at a job."""
    command = [sys.executable, __file__, *sys.argv[1:3], "worker"]
    while not ending.is_set():
        worker = subprocess.Popen(command, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        while worker.poll() is None and not ending.wait(0.1):
            pass
        worker.terminate()  # it finishes its job
        worker.wait()


def worker():
    rq.Worker(["features", "work"], connection=connect(), log_job_description=False).work(
        with_scheduler=True, logging_level="WARNING"
    )


def features(client):
    queue = rq.Queue("features", connection=client)
    result = lambda job: (until("a result", lambda: job.get_status() in (JobStatus.FINISHED, JobStatus.FAILED)), job.result)[1]
    expect("a result", result(queue.enqueue(add, 1, 2)), 3)
    expect("a task that fails twice", result(queue.enqueue(fail_twice, retry=rq.Retry(max=5))), 3)
    failing = queue.enqueue(fail)
    result(failing)
    expect("failed", failing.get_status(), JobStatus.FAILED)
    expect("why", "never" in failing.exc_info, True)
    until("failed jobs are kept", lambda: queue.failed_job_registry.get_job_ids() == [failing.id])

    # A job waits for those that it depends on.
    first = queue.enqueue(time.sleep, 0.3)
    second = queue.enqueue(add, 3, 4, depends_on=first)
    expect("waits", second.get_status(), JobStatus.DEFERRED)
    expect("a dependent job", result(second), 7)
    expect("its dependency", first.get_status(refresh=True), JobStatus.FINISHED)

    # One for later, cancelled; several at once.
    later = queue.enqueue_in(datetime.timedelta(hours=1), add, 1, 2)
    expect("scheduled", later.id in ScheduledJobRegistry(queue=queue), True)
    later.cancel()
    expect("cancelled", later.get_status(), JobStatus.CANCELED)
    many = queue.enqueue_many([rq.Queue.prepare_data(add, [i, i]) for i in range(5)])
    expect("many", [result(j) for j in many], [0, 2, 4, 6, 8])
    until("finished", lambda: len(FinishedJobRegistry(queue=queue)) == 9)
    expect("fetched", [j.id for j in Job.fetch_many([first.id, "none", second.id], connection=client) if j], [first.id, second.id])
    expect("workers", [w.queue_names() for w in rq.Worker.all(connection=client)], [["features", "work"]])


if __name__ == "__main__":
    if sys.argv[3:] == ["worker"]:
        worker()
    else:
        import rq_app  # this file, by the name that the worker finds its functions under

        run(rq_app.main)
