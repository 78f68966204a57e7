import datetime
import unittest

from influxdb_client import BucketRetentionRules, Point
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from influxdb_client.service import ReadyService

from environment import BUCKET, ORG, at, connect, count


class Server(unittest.TestCase):
    def test_health(self):
        with connect() as client:
            self.assertTrue(client.ping())
            self.assertRegex(client.version(), r"^v?2\.")
            self.assertEqual("OSS", client.build())
            with self.assertWarns(DeprecationWarning):
                health = client.health()
            self.assertEqual(("pass", "influxdb"), (health.status, health.name))
            ready = ReadyService(client.api_client).get_ready()
            self.assertEqual("ready", ready.status)
            self.assertLessEqual(ready.started, datetime.datetime.now(datetime.timezone.utc))
        with connect(url="http://127.0.0.1:9") as client:
            self.assertFalse(client.ping())

    def test_delete(self):
        with connect() as client:
            with client.write_api(write_options=SYNCHRONOUS) as w:
                w.write(BUCKET, record=[Point("py_delete").tag("host", "a" if i < 7 else "b").field("value", i).time(at(i)) for i in range(10)])
            api = client.delete_api()
            api.delete(at(0), at(2), '_measurement="py_delete" AND host="a"', bucket=BUCKET, org=ORG)
            self.assertEqual(7, count("py_delete", "value"))
            api.delete(at(0).isoformat(), at(100).isoformat(), '_measurement="py_delete" AND host="b"', bucket=BUCKET)
            self.assertEqual(4, count("py_delete", "value"))
            api.delete("1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", '_measurement="py_delete"', bucket=BUCKET)
            self.assertEqual(0, count("py_delete", "value"))
            with self.assertRaises(ApiException) as caught:
                api.delete(at(0), at(1), "host=", bucket=BUCKET)
            self.assertEqual(400, caught.exception.status)

    def test_buckets(self):
        with connect() as client:
            api = client.buckets_api()
            made = api.create_bucket(bucket_name="py made", org=ORG, description="by a test",
                                     retention_rules=BucketRetentionRules(type="expire", every_seconds=86400))
            self.assertEqual(("py made", "by a test", 86400), (made.name, made.description, made.retention_rules[0].every_seconds))
            self.assertEqual(datetime.timezone.utc, made.created_at.astimezone(datetime.timezone.utc).tzinfo)
            with self.assertRaises(ApiException) as caught:
                api.create_bucket(bucket_name="py made")
            self.assertEqual(422, caught.exception.status)
            self.assertEqual(made.id, api.find_bucket_by_name("py made").id)
            self.assertEqual("py made", api.find_bucket_by_id(made.id).name)
            self.assertIsNone(api.find_bucket_by_name("nowhere"))
            made.description, made.retention_rules[0].every_seconds = "changed", 7200
            changed = api.update_bucket(bucket=made)
            self.assertEqual(("changed", 7200), (changed.description, changed.retention_rules[0].every_seconds))
            api.delete_bucket(made)
            with self.assertRaises(ApiException) as caught:
                api.find_bucket_by_id(made.id)
            self.assertEqual(404, caught.exception.status)

    def test_pages_of_buckets(self):
        with connect() as client:
            api = client.buckets_api()
            made = [api.create_bucket(bucket_name=f"py page {i:02}") for i in range(25)]
            try:
                self.assertEqual(20, len(api.find_buckets().buckets))
                names = {b.name for b in api.find_buckets_iter(limit=10)}
                self.assertTrue({b.name for b in made} | {BUCKET} <= names, names)
            finally:
                for b in made:
                    api.delete_bucket(b)


if __name__ == "__main__":
    unittest.main()
