import asyncio
import contextlib
import csv
import datetime
import io
import math
import unittest

import numpy
import pandas
from influxdb_client import Dialect, Point
from influxdb_client.client.flux_csv_parser import FluxQueryException
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.client.query_api import QueryOptions
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from environment import BUCKET, ORG, TOKEN, URL, at, connect, connect_proxy, exchanges, nanos


def fill(client, measurement):
    """Writes 10 points of a measurement for each of the hosts a and b, a second
    apart, with the fields load (0.5 times the number of the point) and users
    (its number), and returns the beginning of a script that asks for them."""
    with client.write_api(write_options=SYNCHRONOUS) as w:
        w.write(BUCKET, record=[f"{measurement},host={host} load={i / 2},users={i}i {nanos(i)}" for host in "ab" for i in range(10)])
    return (f'from(bucket: "{BUCKET}") |> range(start: {stamp(0)}, stop: {stamp(60)})'
            f' |> filter(fn: (r) => r._measurement == "{measurement}")')


def stamp(i):
    return at(i).strftime("%Y-%m-%dT%H:%M:%SZ")


class Query(unittest.TestCase):
    def setUp(self):
        self.client = connect()
        self.addCleanup(self.client.close)
        self.api = self.client.query_api()

    def test_tables(self):
        tables = self.api.query(fill(self.client, "py_query"))
        self.assertEqual(4, len(tables))
        grouped = {"_start", "_stop", "_measurement", "_field", "host"}
        series = set()
        for table in tables:
            self.assertEqual(grouped, {c.label for c in table.get_group_key()})
            self.assertEqual(10, len(table.records))
            first = table.records[0]
            series.add((first.get_field(), first["host"]))
            types = {c.label: c.data_type for c in table.columns}
            self.assertEqual("double" if first.get_field() == "load" else "long", types.pop("_value"))
            time = "dateTime:RFC3339"
            self.assertEqual({"result": "string", "table": "long", "_start": time, "_stop": time, "_time": time,
                              "_field": "string", "_measurement": "string", "host": "string"}, types)
            for i, r in enumerate(table.records):
                self.assertEqual((at(i), at(0), at(60)), (r.get_time(), r.get_start(), r.get_stop()))
                self.assertEqual("py_query", r.get_measurement())
                self.assertEqual(i / 2 if r.get_field() == "load" else i, r.get_value())
                self.assertEqual("_result", r.values["result"])
        self.assertEqual(4, len(series))
        self.assertEqual([["a", 0.0], ["b", 0.0]],
                         sorted(self.api.query(fill(self.client, "py_query") + ' |> filter(fn: (r) => r._field == "load") |> first()')
                                .to_values(columns=["host", "_value"])))

    def test_types(self):
        want = {"float": -1.5e300, "int": -2**63, "yes": True, "no": False, "text": "a, \"quoted\"\r\n text, and ünïcode"}
        with self.client.write_api(write_options=SYNCHRONOUS) as w:
            w.write(BUCKET, record=Point.from_dict({"measurement": "py_query_types", "tags": {"tag": 'x,"y"'}, "fields": want, "time": at(0)}))
            w.write(BUCKET, record=f"py_query_types uint=18446744073709551615u {nanos(0) + 123456000}")
        got = {r.get_field(): r for r in self.api.query_stream(
            f'from(bucket: "{BUCKET}") |> range(start: -4h) |> filter(fn: (r) => r._measurement == "py_query_types")')}
        self.assertEqual(want | {"uint": 2**64 - 1}, {k: r.get_value() for k, r in got.items()})
        self.assertEqual('x,"y"', got["text"]["tag"])
        self.assertEqual(at(0) + datetime.timedelta(microseconds=123456), got["uint"].get_time())

    def test_special_values(self):
        got = self.api.query('''import "array"
array.from(rows: [{whole: 3.0, huge: 1e300, inf: float(v: "+Inf"), nan: float(v: "NaN"), at: 2026-01-02T03:04:05.123456Z, text: "#x", none: ""}])''')
        values = got[0].records[0].values
        self.assertTrue(math.isnan(values.pop("nan")))
        self.assertEqual({"result": "_result", "table": 0, "whole": 3.0, "huge": 1e300, "inf": math.inf, "text": "#x", "none": None,
                          "at": datetime.datetime(2026, 1, 2, 3, 4, 5, 123456, datetime.timezone.utc)}, values)

    def test_fails_late(self):
        """A script that fails after a part of its answer is on the way fails
        at the client too."""
        with self.client.write_api(write_options=SYNCHRONOUS) as w:
            w.write(BUCKET, record=[f"py_late,host=a value={i} {nanos(i)}" for i in range(5000)])
        with self.assertRaises((ApiException, FluxQueryException)) as caught:
            self.api.query(f'''import "array"
from(bucket: "{BUCKET}") |> range(start: -4h) |> filter(fn: (r) => r._measurement == "py_late") |> yield(name: "one")
array.from(rows: [{{x: "no number"}}]) |> map(fn: (r) => ({{x: int(v: r.x)}})) |> yield(name: "two")''')
        self.assertIn("no number", str(caught.exception))

    def test_stream(self):
        records = list(self.api.query_stream(fill(self.client, "py_stream")))
        self.assertEqual(40, len(records))

    def test_csv(self):
        script = fill(self.client, "py_csv") + ' |> filter(fn: (r) => r.host == "a" and r._field == "users" and r._value < 2)'
        rows = list(self.api.query_csv(script))
        self.assertEqual(["#datatype", "string", "long", "dateTime:RFC3339", "dateTime:RFC3339", "dateTime:RFC3339", "long", "string", "string", "string"], rows[0])
        self.assertEqual(["#group", "false", "false", "true", "true", "false", "false", "true", "true", "true"], rows[1])
        self.assertEqual(["#default", "_result", "", "", "", "", "", "", "", ""], rows[2])
        self.assertEqual(["", "result", "table", "_start", "_stop", "_time", "_value", "_field", "_measurement", "host"], rows[3])
        self.assertEqual([["", "", "0", stamp(0), stamp(60), stamp(i), str(i), "users", "py_csv", "a"] for i in range(2)], [r for r in rows[4:] if r])
        plain = list(self.api.query_csv(script, dialect=Dialect(header=False, annotations=[], delimiter=",", comment_prefix="#", date_time_format="RFC3339")))
        self.assertEqual([["", "_result", "0", stamp(0), stamp(60), stamp(i), str(i), "users", "py_csv", "a"] for i in range(2)], [r for r in plain if r])
        self.assertEqual(2, len(self.api.query_csv(script).to_values()) - 4)

    def test_raw(self):
        answer = self.api.query_raw(fill(self.client, "py_raw"))
        rows = list(csv.reader(answer.data.decode().splitlines()))
        self.assertEqual(40, sum(1 for r in rows if r and r[0] == "" and r[2].isdigit()))

    def test_data_frame(self):
        script = fill(self.client, "py_frame_query") + ' |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'
        frame = self.api.query_data_frame(script, data_frame_index=["_time"])
        self.assertIsInstance(frame, pandas.DataFrame)
        self.assertEqual(20, len(frame))
        self.assertEqual((numpy.float64, numpy.int64), (frame["load"].dtype, frame["users"].dtype))
        self.assertEqual([at(i) for i in range(10)] * 2, list(frame.index))
        self.assertEqual(["a"] * 10 + ["b"] * 10, list(frame["host"]))
        self.assertEqual([i / 2 for i in range(10)] * 2, list(frame["load"]))
        frames = list(self.api.query_data_frame_stream(fill(self.client, "py_frame_query")))
        self.assertEqual(40, sum(len(f) for f in frames))

    def test_data_frame_goes_round(self):
        frame = pandas.DataFrame({"load": [0.5, math.nan, 1.5], "users": [1, 2, 3]},
                                 index=pandas.DatetimeIndex([at(0), at(1), at(2)], name="_time"))
        with self.client.write_api(write_options=SYNCHRONOUS) as w:
            w.write(BUCKET, record=frame, data_frame_measurement_name="py_round")
        got = self.api.query_data_frame(f'''from(bucket: "{BUCKET}") |> range(start: -4h) |> filter(fn: (r) => r._measurement == "py_round")
            |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value") |> keep(columns: ["_time", "load", "users"])''',
                                        data_frame_index=["_time"])
        self.assertEqual([0.5, None, 1.5], [None if math.isnan(v) else v for v in got["load"]])
        self.assertEqual([1, 2, 3], list(got["users"]))
        self.assertEqual([at(0), at(1), at(2)], list(got.index))

    def test_shapes(self):
        script = fill(self.client, "py_shapes")
        for rest, want in (
                (' |> filter(fn: (r) => r._field == "load") |> mean()', [2.25, 2.25]),
                (' |> filter(fn: (r) => r._field == "load" and r.host == "a") |> aggregateWindow(every: 5s, fn: max, createEmpty: false)', [2.0, 4.5]),
                (' |> filter(fn: (r) => r._field == "users") |> last()', [9, 9]),
                (' |> filter(fn: (r) => r._field == "users") |> group() |> sum()', [90]),
                (' |> filter(fn: (r) => r.host == "c")', [])):
            with self.subTest(rest):
                self.assertEqual(want, [r.get_value() for t in self.api.query(script + rest) for r in t.records])

    def test_parameters(self):
        fill(self.client, "py_params")
        script = '''from(bucket: bucket) |> range(start: start, stop: stop)
            |> filter(fn: (r) => r._measurement == measurement and contains(set: hosts, value: r.host) and r._field == "load" and r._value >= least)
            |> limit(n: most) |> map(fn: (r) => ({r with ok: ok}))'''
        got = self.api.query(script, params={"bucket": BUCKET, "start": at(0), "stop": at(60), "measurement": "py_params", "hosts": ["b"],
                                             "least": 3.5, "most": 2, "ok": True})
        self.assertEqual([[3.5, True], [4.0, True]], got.to_values(columns=["_value", "ok"]))
        got = self.api.query(script.replace(", stop: stop", ""), params={
            "bucket": BUCKET, "start": datetime.timedelta(hours=-4), "measurement": "py_params", "hosts": ["a", "b"], "least": 4.5, "most": 9, "ok": False})
        self.assertEqual([4.5, 4.5], [r.get_value() for t in got for r in t.records])

    def test_profilers(self):
        """A script that asks to be measured is answered as one that does
        not."""
        api = self.client.query_api(QueryOptions(profilers=["query", "operator"]))
        with contextlib.redirect_stdout(io.StringIO()):  # the client prints the script
            self.assertEqual(4, len(api.query(fill(self.client, "py_profilers"))))

    def test_gzip(self):
        with connect_proxy(enable_gzip=True) as client:
            with client.write_api(write_options=SYNCHRONOUS) as w:
                w.write(BUCKET, record=[f"py_query_gzip,host=a value={i} {nanos(i)}" for i in range(3000)])
            got = client.query_api().query(f'from(bucket: "{BUCKET}") |> range(start: -4h) |> filter(fn: (r) => r._measurement == "py_query_gzip")')
            self.assertEqual(3000, len(got[0].records))
        self.assertEqual(["gzip"], [e["AnswerEncoding"] for e in exchanges("/api/v2/query")])

    def test_asyncio(self):
        script = fill(self.client, "py_query_asyncio")

        async def run():
            async with InfluxDBClientAsync(url=URL, token=TOKEN, org=ORG) as client:
                api = client.query_api()
                tables = await api.query(script)
                stream = [r async for r in await api.query_stream(script)]
                frame = await api.query_data_frame(script + ' |> filter(fn: (r) => r._field == "load")')
                raw = await api.query_raw(script)
                return len(tables), len(stream), len(frame), raw.count("py_query_asyncio")
        self.assertEqual((4, 40, 20, 40), asyncio.run(run()))

    def test_errors(self):
        for what, token, org, script, status, message in (
                ("syntax", TOKEN, ORG, 'from(bucket: "x"\n|> range(', 400, "2:"),
                ("name", TOKEN, ORG, 'from(bucket: "x") |> rang(start: -1h)', 400, "rang"),
                ("bucket", TOKEN, ORG, 'from(bucket: "nowhere") |> range(start: -1h)', 404, 'could not find bucket "nowhere"'),
                ("token", "wrong", ORG, "buckets()", 401, "unauthorized access"),
                ("organisation", TOKEN, "nobody", "buckets()", 404, "not found")):
            with self.subTest(what), connect(token=token, org=org) as client, self.assertRaises(ApiException) as caught:
                client.query_api().query(script)
            self.assertEqual(status, caught.exception.status, what)
            self.assertIn(message, caught.exception.message, what)


if __name__ == "__main__":
    unittest.main()
