"""What the tests of the Python client share. They run against the server that
the tests one folder up start."""
import datetime
import json
import os
import urllib.request

from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS


def environ(name):
    """A value that the tests one folder up hand in."""
    value = os.environ.get("CLIENTTEST_" + name)
    if not value:
        raise RuntimeError(f"CLIENTTEST_{name} is not set: these tests are run by make test-clients")
    return value


URL, PROXY, SERVICE, FRESH = environ("URL"), environ("PROXY"), environ("SERVICE"), environ("FRESH")
TOKEN, ORG, BUCKET = environ("TOKEN"), environ("ORG"), environ("BUCKET")


def connect(**options):
    """A client of the server."""
    return InfluxDBClient(**{"url": URL, "token": TOKEN, "org": ORG, **options})


def connect_proxy(**options):
    """A client of the proxy before the server."""
    exchanges("")  # forgets what was before
    return connect(url=PROXY, **options)


def faults(*answers):
    """Has the proxy answer the next writes."""
    ask("POST", PROXY + "/proxy/faults", list(answers))


def restart():
    """Kills the server; it comes back a little later."""
    ask("POST", PROXY + "/proxy/restart")


def exchanges(path):
    """The requests of a path that passed since the last call."""
    return [e for e in ask("GET", PROXY + "/proxy/exchanges") if e["Path"] == path]


def statuses():
    """The answers to all writes since the last call."""
    return [e["Status"] for e in exchanges("/api/v2/write")]


def count(measurement, field):
    """How many values of a field the default bucket has, as the service port
    tells."""
    answer = ask("POST", SERVICE + "/query", {"measurement": measurement, "fields": [field],
                                              "start": "1970-01-01T00:00:00Z", "aggregation": "count", "group_by": []})
    return answer["data"][0]["value"] if answer["data"] else 0


def ask(method, url, body=None):
    """Makes a request without the client under test."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Authorization": "Token " + TOKEN}, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


# Recent, and so long ago that no point lies in the future.
BEGIN = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0) - datetime.timedelta(hours=2)


def at(i):
    """A time of i seconds after BEGIN."""
    return BEGIN + datetime.timedelta(seconds=i)


def nanos(i):
    """The same in nanoseconds since 1970."""
    return int(at(i).timestamp()) * 10**9


def write(client, bucket, org=ORG):
    """Writes a point."""
    with client.write_api(write_options=SYNCHRONOUS) as w:
        w.write(bucket, org, Point("m").field("f", 1).time(at(0)))
