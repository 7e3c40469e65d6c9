"""Reads, writes and waits through redis-py; run as client.py PORT PREFIX, with redis-py on PYTHONPATH."""

import sys

import redis

port, prefix = int(sys.argv[1]), sys.argv[2]
print("redis-py", redis.__version__)


def same(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r}, not {want!r}")


for options in ({}, {"protocol": 2}, {"protocol": 3}):
    # As an application does it: a pool, a name, a database.
    client = redis.Redis(host="127.0.0.1", port=port, db=0, client_name="app", decode_responses=True, socket_timeout=30, **options)
    key = f"{prefix}-{options.get('protocol', 'default')}"
    same("PING", client.ping(), True)
    same("GET of none", client.get(key), None)
    same("SET", client.set(key, "å"), True)
    same("GET", client.get(key), "å")
    same("WAIT", client.wait(1, 10000), 1)
    same("EXISTS", client.exists(key, key, "none"), 2)
    same("MGET", client.mget(key, "none"), ["å", None])
    same("STRLEN", client.strlen(key), 2)
    same("TYPE", client.type(key), "string")
    same("TTL", client.ttl(key), -1)
    with client.pipeline(transaction=False) as pipeline:
        for i in range(20):
            pipeline.set(f"{key}-{i}", str(i))
        pipeline.get(f"{key}-7")
        replies = pipeline.execute()
    same("a pipeline", replies, [True] * 20 + ["7"])
    with client.pipeline() as pipeline:  # MULTI and EXEC
        pipeline.set(f"{key}-0", "zero").get(f"{key}-0").delete(f"{key}-19", "none").get(f"{key}-19").set(f"{key}-19", "19").get(f"{key}-7")
        replies = pipeline.execute()
    same("a transaction", replies, [True, "zero", 1, None, True, "7"])
    with client.pipeline() as pipeline:
        pipeline.set(f"{key}-0", "lost").execute_command("SET", f"{key}-1", "lost", "NX")
        try:
            pipeline.execute()
            sys.exit("a transaction with SET NX is accepted")
        except redis.ResponseError as e:
            same("a transaction with SET NX", "NX" in str(e), True)
    same("GET of what was not written", client.get(f"{key}-0"), "zero")
    with client.pipeline() as pipeline:
        try:
            pipeline.watch(key)
            sys.exit("WATCH is accepted")
        except redis.ResponseError as e:
            same("WATCH", "compare-and-set" in str(e), True)
    same("SCAN", {k for k in client.scan_iter(match=f"{key}-*", count=7)}, {f"{key}-{i}" for i in range(20)})
    token = client.execute_command("KAFKA.SET", key, "new", "HEADER", "a", "1")[2]
    same("KAFKA.WAIT", client.execute_command("KAFKA.WAIT", token, 10000), 1)
    same("GET after KAFKA.WAIT", client.get(key), "new")
    same("DEL", client.delete(key, "none"), 1)
    same("GET of what was deleted", client.get(key), None)
    try:
        client.set(key, "x", nx=True)
        sys.exit("SET NX is accepted")
    except redis.ResponseError as e:
        same("SET NX", "NX" in str(e), True)
    same("INFO", client.info()["loading"], 0)
    client.close()
print("ok")
