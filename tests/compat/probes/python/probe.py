"""Tries redis-py against the daemon that its environment names, and prints what came of it: see compat.Probe."""

import json
import os
import sys
import threading
import time

import redis
from redis.cluster import RedisCluster

HOST = os.environ["COMPAT_HOST"]
PORT = int(os.environ["COMPAT_PORT"])
PREFIX = os.environ["COMPAT_PREFIX"]
COLUMNS = os.environ["COMPAT_COLUMNS"].split(",")
SEED = "truth from the log"
PATIENCE = 30


def key(name):
    return PREFIX + name


def column(name):
    def tried(f):
        if name not in COLUMNS:
            return f
        try:
            note, ok = f() or "", True
        except Exception as e:
            note, ok = f"{type(e).__name__}: {e}", False
        print(json.dumps({"column": name, "ok": ok, "note": note}), flush=True)
        return f

    return tried


def ask(**question):
    print(json.dumps(question), flush=True)
    answer = sys.stdin.readline().strip()
    if answer != "ok":
        raise RuntimeError(f"{question['ask']}: {answer}")


def same(got, want):
    if got != want:
        raise AssertionError(f"got {got!r:.100}, want {want!r:.100}")


def refused(word, f):
    try:
        got = f()
    except Exception as e:
        # The library turns some of the words into types of its own.
        if word not in str(e) and word.lower() not in type(e).__name__.lower():
            raise AssertionError(f"got {type(e).__name__}: {e}, want {word}")
        return
    raise AssertionError(f"got {got!r:.100}, want an error with {word}")


def eventually(what, f):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return f()
        except Exception as e:
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {PATIENCE} s: {e}")
        time.sleep(0.005)


def client(port=PORT, **options):
    return redis.Redis(host=HOST, port=port, decode_responses=True, **options)


print(json.dumps({"version": redis.__version__}), flush=True)
c = client()


@column("connect")
def _():
    same(c.ping(), True)
    same(c.echo("truth"), "truth")


@column("auth")
def _():
    port = int(os.environ["COMPAT_AUTH_PORT"])
    same(client(port, password=os.environ["COMPAT_PASSWORD"]).get(key("seed")), SEED)
    # AuthenticationError for what the server answers with WRONGPASS and NOAUTH.
    refused("invalid username-password", lambda: client(port, password="wrong").get(key("seed")))
    refused("Authentication", lambda: client(port).get(key("seed")))


@column("select")
def _():
    same(client(db=1).get(key("seed")), "truth of database 1")


@column("read")
def _():
    same(c.get(key("seed")), SEED)
    same(c.get(key("none")), None)
    same(c.mget(key("seed"), key("none"), key("scan:7")), [SEED, None, "truth 7"])
    same(c.exists(key("seed"), key("none"), key("seed")), 2)
    same(c.strlen(key("seed")), len(SEED))
    same(c.getrange(key("seed"), 0, 4), "truth")
    same(c.ttl(key("seed")), -1)
    same(c.ttl(key("none")), -2)
    same(c.type(key("seed")), "string")


@column("write")
def _():
    same(c.set(key("w"), "truth w"), True)
    same(c.get(key("w")), "truth w")
    same(c.mset({key("w1"): "truth 1", key("w2"): "truth 2"}), True)
    same(c.mget(key("w1"), key("w2")), ["truth 1", "truth 2"])
    same(c.delete(key("w"), key("w1"), key("none")), 2)
    same(c.get(key("w")), None)
    refused("ReadOnly", lambda: client(db=2).set(key("seed"), "x"))


@column("pipeline")
def _():
    p = c.pipeline(transaction=False)
    for n in range(100):
        p.set(key(f"p:{n}"), f"truth {n}")
    for n in range(100):
        p.get(key(f"p:{n}"))
    same(p.execute(), [True] * 100 + [f"truth {n}" for n in range(100)])


@column("transaction")
def _():
    p = c.pipeline()
    p.set(key("t1"), "truth 1").set(key("t2"), "truth 2").get(key("t1")).delete(key("t2"))
    same(p.execute(), [True, True, "truth 1", 1])
    same(c.mget(key("t1"), key("t2")), ["truth 1", None])
    return "`pipeline()` is one by default"


@column("scan")
def _():
    same(set(c.scan_iter(match=key("scan:*"), count=50)), {key(f"scan:{n}") for n in range(300)})


@column("subscribe")
def _():
    p = c.pubsub()
    p.psubscribe("__keyspace@0__:" + key("event*"))
    same(p.get_message(timeout=PATIENCE)["type"], "psubscribe")
    ask(ask="produce", key=key("event1"), value="truth")
    deadline = time.monotonic() + PATIENCE
    m = None
    while m is None and time.monotonic() < deadline:
        m = p.get_message(timeout=1)
    same((m or {}).get("channel"), "__keyspace@0__:" + key("event1"))
    same(m["data"], "set")
    p.close()


@column("cache")
def _():
    from redis.cache import CacheConfig

    cached = client(protocol=3, cache_config=CacheConfig())
    same(cached.get(key("cached")), "truth 1")
    same(cached.get_cache().size, 1)
    same(cached.get(key("cached")), "truth 1")
    ask(ask="produce", key=key("cached"), value="truth 2")
    eventually("the new value", lambda: same(cached.get(key("cached")), "truth 2"))
    same(cached.get_cache().size, 1)
    cached.close()
    return "`CacheConfig()`, with RESP3"


@column("cluster")
def _():
    refused("luster", lambda: RedisCluster(host=HOST, port=PORT))


@column("wait")
def _():
    one = client(single_connection_client=True)  # WAIT is of what its connection wrote
    one.set(key("waited"), "truth")
    same(one.wait(1, 1000), 1)
    began = time.monotonic()
    same(one.wait(7, 300), 1)
    took = time.monotonic() - began
    if not 0.29 <= took < 10:
        raise AssertionError(f"WAIT of 300 ms took {took} s")
    same(one.get(key("waited")), "truth")


@column("big")
def _():
    want = "".join(f"truth {n} " for n in range(400_000))
    same(c.set(key("big"), want), True)
    same(c.get(key("big")), want)


@column("binary")
def _():
    raw = redis.Redis(host=HOST, port=PORT)
    every = bytes(range(256))
    same(raw.set(PREFIX.encode() + every, b"truth" + every), True)
    same(raw.get(PREFIX.encode() + every), b"truth" + every)


@column("pool")
def _():
    failed = []

    def caller(n):
        try:
            for _ in range(20):
                same(c.get(key(f"scan:{n}")), f"truth {n}")
        except Exception as e:
            failed.append(e)

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failed:
        raise failed[0]


@column("tls")
def _():
    t = redis.Redis(host=HOST, port=int(os.environ["COMPAT_TLS_PORT"]), ssl=True, ssl_ca_certs=os.environ["COMPAT_CA"], decode_responses=True)
    same(t.get(key("seed")), SEED)


# Last: what broke stays in pools until it is used.
@column("reconnect")
def _():
    same(c.get(key("seed")), SEED)
    ask(ask="restart")
    first = []

    def get():
        try:
            same(c.get(key("seed")), SEED)
            first.append("the value")
        except Exception as e:
            first.append(f"{type(e).__name__}: {e}")

    t = threading.Thread(target=get)
    t.start()
    t.join(1.5)  # long enough for a library that shows it
    note = f"while it loads, GET is shown {first[0]}" if first else "while it loads, GET is tried again and waits"
    ask(ask="ready")
    t.join(PATIENCE)
    eventually("the value after the restart", lambda: same(c.get(key("seed")), SEED))
    return note
