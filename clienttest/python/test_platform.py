"""Programs of the platform, in the manner of its cluster test and of its
services, as they are."""
import asyncio
import random
import time
import unittest
from datetime import datetime, timedelta, timezone

import aiohttp
from influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS

from environment import BUCKET, ORG, TOKEN, URL, count


class ClusterTest(unittest.TestCase):
    def test_write_and_query(self):
        async def run():
            headers = {"Authorization": f"Token {TOKEN}"}
            now = time.time_ns()
            lines = "\n".join(f"temperature,location=seoul value={20 + random.random() * 10:.2f} {now - i * 1_000_000}" for i in range(5000))
            async with aiohttp.ClientSession() as session:
                async with session.post(f"{URL}/api/v2/write", data=lines, headers=headers) as answer:
                    self.assertEqual(204, answer.status, await answer.text())
                body = {"query": f'from(bucket: "{BUCKET}") |> range(start: -1h) |> mean()'}
                async with session.post(f"{URL}/api/v2/query", json=body, headers=headers) as answer:
                    text = await answer.text()
                    self.assertEqual(200, answer.status, text)
                    self.assertIn("seoul", text)
        asyncio.run(run())
        self.assertEqual(5000, count("temperature", "value"))


class Service(unittest.TestCase):
    def test_write_and_query(self):
        client = InfluxDBClient(url=URL, token=TOKEN, org=ORG)
        self.addCleanup(client.close)
        writer = client.write_api(write_options=SYNCHRONOUS)
        now = datetime.now(timezone.utc)
        for i in range(3):
            writer.write(bucket=BUCKET, org=ORG, record=[{
                "measurement": "sensor_data",
                "tags": {"sensor_id": f"s{i}", "location": "seoul"},
                "fields": {"temperature": 20.5 + i, "humidity": 40 + i},
                "time": now - timedelta(minutes=i)}])
        tables = client.query_api().query(f'''
            from(bucket: "{BUCKET}")
              |> range(start: -1h)
              |> filter(fn: (r) => r._measurement == "sensor_data")''')
        data = [{"time": r.get_time(), "measurement": r.get_measurement(), "field": r.get_field(), "value": r.get_value(),
                 "tags": {k: v for k, v in r.values.items() if not k.startswith("_") and k not in ("result", "table")}}
                for table in tables for r in table.records]
        self.assertEqual(6, len(data))
        for row in data:
            i = int(row["tags"]["sensor_id"][1:])
            self.assertEqual({"sensor_id": f"s{i}", "location": "seoul"}, row["tags"])
            self.assertEqual("sensor_data", row["measurement"])
            self.assertEqual(now - timedelta(minutes=i), row["time"])
            self.assertEqual({"temperature": 20.5 + i, "humidity": 40 + i}[row["field"]], row["value"])


if __name__ == "__main__":
    unittest.main()
