import asyncio
import collections
import dataclasses
import datetime
import time
import unittest

import pandas
from influxdb_client import Point, WriteOptions, WritePrecision
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.client.write_api import ASYNCHRONOUS, SYNCHRONOUS
from influxdb_client.client.write.retry import WritesRetry
from influxdb_client.rest import ApiException

from environment import BUCKET, ORG, TOKEN, URL, at, connect, connect_proxy, count, exchanges, faults, nanos, restart, statuses


class Write(unittest.TestCase):
    def test_all_kinds_of_records(self):
        @dataclasses.dataclass
        class Car:
            engine: str
            speed: float

        Bus = collections.namedtuple("Bus", ["name", "line", "speed", "time"])
        with connect() as client, client.write_api(write_options=SYNCHRONOUS) as w:
            w.write(BUCKET, ORG, f"py_kinds,host=a value=0 {nanos(0)}")
            w.write(BUCKET, ORG, f"py_kinds,host=a value=1 {nanos(1)}".encode())
            w.write(BUCKET, record=Point("py_kinds").tag("host", "a").field("value", 2.0).time(at(2)))
            w.write(BUCKET, record={"measurement": "py_kinds", "tags": {"host": "a"}, "fields": {"value": 3.0}, "time": at(3)})
            w.write(BUCKET, record=[f"py_kinds,host=a value=4 {nanos(4)}",
                                    Point("py_kinds").tag("host", "a").field("value", 5.0).time(nanos(5)),
                                    [{"measurement": "py_kinds", "tags": {"host": "a"}, "fields": {"value": 6.0}, "time": at(6).isoformat()}]])
            w.write(BUCKET, record=Car("v8", 7.5), record_measurement_name="py_cars", record_tag_keys=["engine"], record_field_keys=["speed"])
            w.write(BUCKET, record=Bus("py_buses", "7", 8.5, at(8)), record_measurement_key="name", record_time_key="time",
                    record_tag_keys=["line"], record_field_keys=["speed"])
        self.assertEqual(7, count("py_kinds", "value"))
        self.assertEqual(1, count("py_cars", "speed"))
        self.assertEqual(1, count("py_buses", "speed"))

    def test_types_and_characters(self):
        for precision in (WritePrecision.NS, WritePrecision.US, WritePrecision.MS, WritePrecision.S):
            with self.subTest(precision), connect() as client, client.write_api(write_options=SYNCHRONOUS) as w:
                name = f"py, types {precision}"
                point = (Point(name).tag("a tag", "x=y, z").tag("b", "back\\slash").tag("empty", "")
                         .field("float", 1.5).field("int", -3).field("bool", True)
                         .field("text", "quote \" and, backslash \\ and\nnew line").field("a field", 1).time(at(0), precision))
                w.write(BUCKET, record=point, write_precision=precision)
                for field in ("float", "int", "bool", "text", "a field"):
                    self.assertEqual(1, count(name, field), field)

    def test_data_frame(self):
        frame = pandas.DataFrame({"host": ["a", "b"] * 500, "load": [i / 2 for i in range(1000)], "users": range(1000),
                                  "note": ["x", None] * 500}, index=pandas.date_range(at(0), periods=1000, freq="s", name="time"))
        with connect() as client, client.write_api(write_options=SYNCHRONOUS) as w:
            w.write(BUCKET, record=frame, data_frame_measurement_name="py_frame", data_frame_tag_columns=["host"])
        self.assertEqual(1000, count("py_frame", "load"))
        self.assertEqual(1000, count("py_frame", "users"))
        self.assertEqual(500, count("py_frame", "note"))

    def test_batches(self):
        with connect_proxy() as client:
            with client.write_api(write_options=WriteOptions(batch_size=500, flush_interval=3_000)) as w:
                for i in range(1234):
                    w.write(BUCKET, record=Point("py_batches").tag("host", "a").field("value", i).time(at(i)))
        self.assertEqual(1234, count("py_batches", "value"))
        self.assertEqual([204, 204, 204], statuses())

    def test_asynchronous(self):
        with connect() as client, client.write_api(write_options=ASYNCHRONOUS) as w:
            results = [w.write(BUCKET, record=f"py_threads,host=a value={i} {nanos(i)}") for i in range(20)]
            for r in results:
                self.assertIsNone(r.get())
        self.assertEqual(20, count("py_threads", "value"))

    def test_asyncio(self):
        async def run():
            async with InfluxDBClientAsync(url=URL, token=TOKEN, org=ORG, enable_gzip=True) as client:
                self.assertTrue(await client.ping())
                w = client.write_api()
                await asyncio.gather(*(w.write(BUCKET, record=Point("py_asyncio").tag("host", "a").field("value", i).time(at(i)))
                                       for i in range(20)))
                await client.delete_api().delete(at(0), at(4), '_measurement="py_asyncio"', BUCKET)
        asyncio.run(run())
        self.assertEqual(15, count("py_asyncio", "value"))

    def test_gzip(self):
        with connect_proxy(enable_gzip=True) as client, client.write_api(write_options=SYNCHRONOUS) as w:
            w.write(BUCKET, record=[f"py_gzip,host=a value={i} {nanos(i)}" for i in range(2000)])
        self.assertEqual(["gzip"], [e["ContentEncoding"] for e in exchanges("/api/v2/write")])
        self.assertEqual(2000, count("py_gzip", "value"))


class Retries(unittest.TestCase):
    """Batches that meet 429, 503 or a lost connection are kept and sent again
    after what Retry-After says: no point is lost, and one that is stored twice
    is one point."""

    def test_retries(self):
        done, retried, failed = [], [], []
        options = WriteOptions(batch_size=10, flush_interval=100, retry_interval=100, max_retry_delay=2000)
        faults({"Status": 429, "RetryAfter": 1}, {"Status": 503, "RetryAfter": 1}, {"Status": 0, "Stored": True}, {"Status": 502})
        begun = time.monotonic()
        with connect_proxy(enable_gzip=True) as client:
            with client.write_api(write_options=options, success_callback=lambda conf, data: done.append(data),
                                  retry_callback=lambda conf, data, e: retried.append(e),
                                  error_callback=lambda conf, data, e: failed.append(e)) as w:
                for i in range(30):
                    w.write(BUCKET, record=Point("py_retries").tag("host", "a").field("value", i).time(at(i)))
        self.assertGreaterEqual(time.monotonic() - begun, 2)
        self.assertEqual([], failed)
        self.assertEqual(["1", "1", None], [e.retry_after for e in retried if isinstance(e, InfluxDBError)])
        self.assertEqual(4, len(retried))
        self.assertEqual(3, len(done))
        self.assertEqual(30, count("py_retries", "value"))
        self.assertEqual([429, 503, 204, 0, 502, 204, 204, 204], statuses())


    def test_restart(self):
        """A server that is killed and comes back costs no point."""
        points, failed = 4000, []
        options = WriteOptions(batch_size=50, flush_interval=50, retry_interval=50, max_retry_delay=200, max_retries=100)
        with connect_proxy() as client:
            with client.write_api(write_options=options, error_callback=lambda conf, data, e: failed.append(e)) as w:
                for i in range(points):
                    if i == points // 4:
                        restart()
                    w.write(BUCKET, record=Point("py_restart").tag("host", "a").field("value", i).time(at(i)))
                    if i % 20 == 0:
                        time.sleep(0.01)
        self.assertEqual([], failed)
        self.assertIn(502, statuses())
        self.assertEqual(points, count("py_restart", "value"))

    def test_blocking(self):
        """Blocking writes are sent again where the client is told to."""
        faults({"Status": 503, "RetryAfter": 1}, {"Status": 429}, {"Status": 0})
        retries = WritesRetry(total=5, retry_interval=0.05, max_retry_delay=1, allowed_methods=["POST"])
        with connect_proxy(retries=retries) as client, client.write_api(write_options=SYNCHRONOUS) as w:
            w.write(BUCKET, record=Point("py_blocking_retries").field("value", 1).time(at(0)))
        self.assertEqual([503, 429, 0, 204], statuses())
        self.assertEqual(1, count("py_blocking_retries", "value"))


class Refused(unittest.TestCase):
    """Writes that make no sense are refused once, and not sent again."""

    def test_errors(self):
        with connect() as client, client.write_api(write_options=SYNCHRONOUS) as w:
            w.write(BUCKET, record=f"py_refused,host=a value=1 {nanos(0)}")
        for what, token, org, bucket, line, status, reason, message in (
                ("syntax", TOKEN, ORG, BUCKET, "py_refused,host=a value=", 400, "Bad Request", "unable to parse 'py_refused,host=a value='"),
                ("type", TOKEN, ORG, BUCKET, 'py_refused,host=a value="text"', 422, "Unprocessable Entity", "partial write"),
                ("token", "wrong", ORG, BUCKET, "m f=1", 401, "Unauthorized", "unauthorized access"),
                ("bucket", TOKEN, ORG, "nowhere", "m f=1", 404, "Not Found", 'bucket "nowhere" not found'),
                ("organisation", TOKEN, "nobody", BUCKET, "m f=1", 404, "Not Found", "not found")):
            with self.subTest(what):
                with connect_proxy(token=token) as client, client.write_api(write_options=SYNCHRONOUS) as w:
                    with self.assertRaises(ApiException) as caught:
                        w.write(bucket, org, line)
                self.assertEqual((status, reason), (caught.exception.status, caught.exception.reason))
                self.assertIn(message, caught.exception.message)
                self.assertEqual([status], statuses())

    def test_in_the_background(self):
        failed = []
        with connect_proxy() as client:
            with client.write_api(write_options=WriteOptions(batch_size=1, retry_interval=10),
                                  error_callback=lambda conf, data, e: failed.append(e)) as w:
                w.write(BUCKET, record="py_refused value=")
        self.assertEqual([400], [e.response.status for e in failed])
        self.assertEqual([400], statuses())

    def test_out_of_retention(self):
        with connect() as client:
            b = client.buckets_api().create_bucket(bucket_name="py short", retention_rules={"type": "expire", "everySeconds": 3600})
            try:
                old = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=2)
                with client.write_api(write_options=SYNCHRONOUS) as w, self.assertRaises(ApiException) as caught:
                    w.write(b.name, record=Point("m").field("f", 1).time(old))
                self.assertEqual(422, caught.exception.status)
                self.assertIn("dropped=1", caught.exception.message)
            finally:
                client.buckets_api().delete_bucket(b)


if __name__ == "__main__":
    unittest.main()
