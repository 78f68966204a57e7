import unittest

from influxdb_client import InfluxDBClient, OnboardingRequest
from influxdb_client.rest import ApiException
from influxdb_client.service import SetupService
from influxdb_client.service.organizations_service import OrganizationsService

from environment import FRESH, ORG, URL, connect, write


class Account(unittest.TestCase):
    def refused(self, status, what, *arguments):
        with self.assertRaises(ApiException) as caught:
            what(*arguments)
        self.assertEqual(status, caught.exception.status)

    def test_setup(self):
        with InfluxDBClient(url=FRESH, token="") as client:
            setup = SetupService(client.api_client)
            self.assertTrue(setup.get_setup().allowed)
            request = OnboardingRequest(username="ada", password="a long password", org="py org", bucket="py bucket", retention_period_seconds=86400)
            done = setup.post_setup(onboarding_request=request)
            self.assertEqual(("ada", "py org", "py bucket"), (done.user.name, done.org.name, done.bucket.name))
            self.assertEqual(86400, done.bucket.retention_rules[0].every_seconds)
            self.assertFalse(setup.get_setup().allowed)
            self.refused(422, setup.post_setup, request)
        with InfluxDBClient(url=FRESH, token=done.auth.token, org="py org") as client:
            write(client, "py bucket", "py org")
        with InfluxDBClient(url=FRESH, username="ada", password="a long password", org="py org") as client:
            self.assertEqual("ada", client.users_api().me().name)
            self.assertEqual("py bucket", client.buckets_api().find_bucket_by_name("py bucket").name)
        with InfluxDBClient(url=FRESH, username="ada", password="wrong", org="py org") as client:
            self.refused(401, client.users_api().me)

    def test_users_and_organizations(self):
        with connect() as client:
            users, orgs = client.users_api(), client.organizations_api()
            self.assertTrue(users.me().name)
            user = users.create_user(name="py user")
            self.refused(422, users.create_user, "py user")
            users.update_password(user, "a long password")
            self.assertEqual([user.id], [u.id for u in users.find_users(name="py user").users])
            org = orgs.create_organization(name="py org")
            org.description = "made by a test"
            self.assertEqual("made by a test", orgs.update_organization(org).description)
            self.assertEqual("py org", orgs.find_organization(org.id).name)
            OrganizationsService(client.api_client).post_orgs_id_members(org_id=org.id, add_resource_member_request_body={"id": user.id})
            with InfluxDBClient(url=URL, username="py user", password="a long password", org="py org") as session:
                self.assertEqual(["py org"], [o.name for o in session.organizations_api().find_organizations()])
            users.delete_user(user)
            orgs.delete_organization(org.id)
            self.refused(404, orgs.find_organization, org.id)
            self.assertEqual([ORG], [o.name for o in orgs.find_organizations(org=ORG)])

    def test_labels(self):
        with connect() as client:
            org = client.organizations_api().find_organizations(org=ORG)[0]
            api = client.labels_api()
            label = api.create_label("py label", org.id, {"colour": "green"})
            clone = api.clone_label("py clone", label)
            label.properties["colour"] = "blue"
            self.assertEqual("blue", api.update_label(label).properties["colour"])
            self.assertEqual("green", api.find_label_by_id(clone.id).properties["colour"])
            self.assertLessEqual({"py label", "py clone"}, {x.name for x in api.find_label_by_org(org.id)})
            for x in (label, clone):
                api.delete_label(x)
            self.refused(404, api.find_label_by_id, label.id)


if __name__ == "__main__":
    unittest.main()
