"""What the programs share: see ../doc.go for what they print and when they end."""

import os
import sys
import threading
import time
import traceback


def address():
    host, port = sys.argv[1].rsplit(":", 1)
    return host, int(port)


def hosts():
    """For programs that are told several addresses."""
    return [(host, int(port)) for host, port in (a.rsplit(":", 1) for a in sys.argv[1].split(","))]


def jobs():
    return int(sys.argv[2])


def say(event, *rest):
    """Prints one event, in one write: several processes share the output."""
    os.write(1, (" ".join([event, *map(str, rest)]).replace("\n", " ") + "\n").encode())


def expect(what, got, want):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")


def until(what, condition):
    """Waits until condition holds; the test's patience ends it if it never does."""
    while not condition():
        time.sleep(0.01)


def produce(add):
    """Calls add with new ids until it has succeeded for all jobs. What has failed may have been done or not. Returns how
    many calls have failed."""
    i = added = 0
    while added < jobs():
        try:
            add(str(i))
        except Exception as err:
            say("unsure", i, repr(err))
            time.sleep(0.1)
        else:
            say("acked", i)
            added += 1
            time.sleep(0.005)
        i += 1
    return i - added


def keep_writing(set, get, call):
    """Writes a key for each job until told to end, and then reads those that were written. It counts them, too, in a way
    that can be repeated until it has worked: call sends a command that the library does not know."""
    ending = threading.Event()
    threading.Thread(target=lambda: (wait_for_end(), ending.set()), daemon=True).start()
    acked, i = [], 0
    while not ending.is_set():
        while True:
            try:
                call("ONCE", f"count:{i}", 600000, "INCR", "count")
                break
            except Exception:
                time.sleep(0.02)
        try:
            set(f"job:{i}", str(i))
        except Exception as err:
            say("unsure", i, repr(err))
            time.sleep(0.02)
        else:
            say("acked", i)
            acked.append(i)
            time.sleep(0.005)
        i += 1
    total = i
    for i in acked:
        expect("get", get(f"job:{i}"), str(i))
        say("ran", i)
    expect("the count", get("count"), str(total))


def wait_for_end():
    """Returns when the input ends: the program is to end."""
    sys.stdin.read()


def run(program):
    try:
        program()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    say("ok")
    os._exit(0)
