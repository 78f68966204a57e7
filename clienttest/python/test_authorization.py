import unittest

from influxdb_client import Authorization, Permission, PermissionResource
from influxdb_client.rest import ApiException

from environment import BUCKET, ORG, connect, write


def read(client, bucket):
    return client.query_api().query(f'from(bucket: "{bucket}") |> range(start: -4h)')


class Authorizations(unittest.TestCase):
    def refused(self, status, what, *arguments):
        with self.assertRaises(ApiException) as caught:
            what(*arguments)
        self.assertEqual(status, caught.exception.status)

    def test_authorizations(self):
        with connect() as client:
            org = client.organizations_api().find_organizations(org=ORG)[0]
            shared = client.buckets_api().create_bucket(bucket_name="py shared")
            self.addCleanup(lambda: connect().buckets_api().delete_bucket(shared))
            api = client.authorizations_api()

            def make(action):
                resource = PermissionResource(type="buckets", id=shared.id, org_id=org.id)
                return api.create_authorization(org_id=org.id, permissions=[Permission(action=action, resource=resource)])
            reading, writing = make("read"), make("write")
            with connect(token=reading.token) as reader, connect(token=writing.token) as writer:
                write(writer, "py shared")
                self.assertEqual(1, len(read(reader, "py shared")))
                self.refused(403, write, reader, "py shared")
                self.refused(404, read, writer, "py shared")
                self.refused(404, write, writer, BUCKET)
                self.refused(404, read, reader, BUCKET)
                self.assertLessEqual({reading.id, writing.id}, {a.id for a in api.find_authorizations(org_id=org.id)})
                self.assertEqual("read", api.find_authorization_by_id(reading.id).permissions[0].action)
                cloned = api.clone_authorization(reading)
                with connect(token=cloned.token) as clone:
                    self.assertEqual(1, len(read(clone, "py shared")))
                    api.delete_authorization(cloned)
                    self.refused(401, read, clone, "py shared")
                writing.status = "inactive"
                self.assertEqual("inactive", api.update_authorization(writing).status)
                self.refused(401, write, writer, "py shared")
                api.delete_authorization(writing.id)
                api.delete_authorization(reading)
                self.refused(401, read, reader, "py shared")
            everything = api.create_authorization(authorization=Authorization(org_id=org.id, description="py all", permissions=[
                Permission(action=a, resource=PermissionResource(type="buckets", org_id=org.id)) for a in ("read", "write")]))
            self.assertEqual("py all", everything.description)
            with connect(token=everything.token) as both:
                write(both, "py shared")
                self.assertEqual(1, len(read(both, "py shared")))
            api.delete_authorization(everything)


if __name__ == "__main__":
    unittest.main()
