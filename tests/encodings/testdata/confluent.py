"""Confluent's own serializers, with a registry at the URL of the first argument.

confluent.py URL serialize    registers each case's schema for its topic, and prints a line a case: {"topic", "kind", "bytes"}
confluent.py URL deserialize  reads such lines and prints a line each: {"topic", "same", "value"}, whether the value is the case's
"""

import base64
import datetime
import decimal
import json
import sys
import uuid

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

UTC = datetime.timezone.utc


def logical(base, kind, **more):
    return {"type": base, "logicalType": kind, **more}


def record(name, **fields):
    return {"type": "record", "name": name, "namespace": "test", "fields": [{"name": k, "type": t} for k, t in fields.items()]}


AVRO = {
    "user": (
        record("User", id="string", email=["null", "string"], groups={"type": "array", "items": "string"}),
        {"id": "a", "email": None, "groups": ["x", "räksmörgås"]},
    ),
    "primitives": (
        record("P", b="boolean", i="int", l="long", f="float", d="double", s="string", y="bytes", n="null"),
        {"b": True, "i": -1, "l": 2**53 + 1, "f": 0.5, "d": 0.1, "s": 'quo"te\n', "y": b"\x00\xff", "n": None},
    ),
    "complex": (
        record(
            "C",
            e={"type": "enum", "name": "E", "symbols": ["A", "B"]},
            x={"type": "fixed", "name": "F", "size": 2},
            m={"type": "map", "values": "long"},
            a={"type": "array", "items": record("Inner", v=["null", "long", "string"])},
        ),
        {"e": "B", "x": b"\x01\x02", "m": {"k": 1}, "a": [{"v": None}, {"v": 7}, {"v": "x"}]},
    ),
    "logical": (
        record(
            "L",
            date=logical("int", "date"),
            time=logical("int", "time-millis"),
            micros=logical("long", "time-micros"),
            at=logical("long", "timestamp-millis"),
            exact=logical("long", "timestamp-micros"),
            local=logical("long", "local-timestamp-millis"),
            price=logical("bytes", "decimal", precision=10, scale=2),
            fixed=logical("fixed", "decimal", name="D", size=8, precision=12, scale=3),
            id=logical("string", "uuid"),
        ),
        {
            "date": datetime.date(2026, 1, 2),
            "time": datetime.time(15, 4, 5, 678000),
            "micros": datetime.time(15, 4, 5, 678901),
            "at": datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, UTC),
            "exact": datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
            "local": datetime.datetime(2026, 1, 2, 3, 4, 5),
            "price": decimal.Decimal("-1234.50"),
            "fixed": decimal.Decimal("0.007"),
            "id": uuid.UUID("8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f"),
        },
    ),
    "scalar": ("string", "only a string"),
}

JSON = {
    "session": (
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": "Session",
            "type": "object",
            "properties": {"id": {"type": "string"}, "type": {"enum": ["REGULAR", "MEETINGSCREEN"]}},
            "required": ["id", "type"],
        },
        {"id": "s", "type": "REGULAR"},
    ),
}


def main():
    client = SchemaRegistryClient({"url": sys.argv[1]})
    context = lambda topic: SerializationContext(topic, MessageField.VALUE)
    if sys.argv[2] == "serialize":
        for topic, (schema, value) in AVRO.items():
            b = AvroSerializer(client, json.dumps(schema))(value, context(topic))
            print(json.dumps({"topic": topic, "kind": "avro", "bytes": base64.b64encode(b).decode()}))
        for topic, (schema, value) in JSON.items():
            b = JSONSerializer(json.dumps(schema), client)(value, context(topic))
            print(json.dumps({"topic": topic, "kind": "json-schema", "bytes": base64.b64encode(b).decode()}))
        return
    for line in sys.stdin:
        given = json.loads(line)
        topic = given["topic"]
        if topic in AVRO:
            want = AVRO[topic][1]
            got = AvroDeserializer(client)(base64.b64decode(given["bytes"]), context(topic))
        else:
            schema, want = JSON[topic]
            got = JSONDeserializer(json.dumps(schema), schema_registry_client=client)(base64.b64decode(given["bytes"]), context(topic))
        print(json.dumps({"topic": topic, "same": got == want, "value": repr(got)}))


main()
