'use strict'
const test = require('node:test')
const assert = require('node:assert')
const {InfluxDB} = require('@influxdata/influxdb-client')
const {
  BucketsAPI, ConfigAPI, DbrpsAPI, LabelsAPI, MeAPI, OrgsAPI, ResourcesAPI, SetupAPI, SigninAPI, SignoutAPI,
  TelegrafsAPI, UsersAPI, VariablesAPI,
} = require('@influxdata/influxdb-client-apis')
const {fresh, url, org, bucket, connect, orgID, write} = require('./environment')

test('a server is set up once', async () => {
  const api = new SetupAPI(new InfluxDB({url: fresh}))
  assert.equal((await api.getSetup()).allowed, true)
  const body = {username: 'ada', password: 'a long password', org: 'js org', bucket: 'js bucket', retentionPeriodSeconds: 86400, token: 'js-admin-token'}
  const done = await api.postSetup({body})
  assert.deepEqual([done.user.name, done.org.name, done.bucket.name, done.auth.token], ['ada', 'js org', 'js bucket', 'js-admin-token'])
  assert.equal(done.bucket.retentionRules[0].everySeconds, 86400)
  assert.equal((await api.getSetup()).allowed, false)
  await assert.rejects(api.postSetup({body}), e => e.statusCode === 422)
  await write(new InfluxDB({url: fresh, token: 'js-admin-token'}), 'js bucket', 'js org')
})

// The client keeps no cookies: who signs in takes the cookie out of the answer.
test('a user signs in and out', async () => {
  const users = new UsersAPI(connect())
  const made = await users.postUsers({body: {name: 'js user'}})
  await users.postUsersIDPassword({userID: made.id, body: {password: 'a long password'}})
  await new OrgsAPI(connect()).postOrgsIDMembers({orgID: await orgID(), body: {id: made.id}})
  let cookie
  const headers = h => { cookie = [].concat(h['set-cookie']).map(c => c.split(';')[0]).join('; ') }
  const anybody = new InfluxDB({url})
  await assert.rejects(new SigninAPI(anybody).postSignin({auth: {user: 'js user', password: 'wrong'}}), e => e.statusCode === 401)
  await new SigninAPI(anybody).postSignin({auth: {user: 'js user', password: 'a long password'}}, {responseStarted: headers})
  assert.ok(cookie)
  const session = {headers: {cookie}}
  assert.equal((await new MeAPI(anybody).getMe(undefined, session)).name, 'js user')
  const {buckets} = await new BucketsAPI(anybody).getBuckets({name: bucket}, session)
  assert.deepEqual(buckets.map(b => b.name), [bucket])
  await new SignoutAPI(anybody).postSignout(undefined, session)
  await assert.rejects(new MeAPI(anybody).getMe(undefined, session), e => e.statusCode === 401)
  await users.deleteUsersID({userID: made.id})
})

test('organisations, users and their parts', async () => {
  const orgs = new OrgsAPI(connect())
  const users = new UsersAPI(connect())
  const made = await orgs.postOrgs({body: {name: 'js org', description: 'made by a test'}})
  const user = await users.postUsers({body: {name: 'js member'}})
  assert.deepEqual([made.name, made.description, user.name, user.status], ['js org', 'made by a test', 'js member', 'active'])
  await orgs.postOrgsIDMembers({orgID: made.id, body: {id: user.id}})
  assert.deepEqual((await orgs.getOrgsIDMembers({orgID: made.id})).users.map(u => [u.name, u.role]), [['js member', 'member']])
  await orgs.deleteOrgsIDMembersID({orgID: made.id, userID: user.id})
  await orgs.postOrgsIDOwners({orgID: made.id, body: {id: user.id}})
  assert.ok((await orgs.getOrgsIDOwners({orgID: made.id})).users.some(u => u.name === 'js member' && u.role === 'owner'))
  assert.equal((await orgs.patchOrgsID({orgID: made.id, body: {name: 'js renamed'}})).name, 'js renamed')
  assert.equal((await users.patchUsersID({userID: user.id, body: {name: 'js renamed'}})).name, 'js renamed')
  assert.ok((await users.getUsers()).users.some(u => u.name === 'js renamed'))
  await users.deleteUsersID({userID: user.id})
  await orgs.deleteOrgsID({orgID: made.id})
  await assert.rejects(orgs.getOrgsID({orgID: made.id}), e => e.statusCode === 404)
})

test('labels, variables, mappings and configurations are kept', async () => {
  const id = await orgID()
  const labels = new LabelsAPI(connect())
  const {label} = await labels.postLabels({body: {orgID: id, name: 'js label', properties: {colour: 'green'}}})
  assert.equal((await labels.patchLabelsID({labelID: label.id, body: {properties: {colour: 'blue'}}})).label.properties.colour, 'blue')
  assert.ok((await labels.getLabels({orgID: id})).labels.some(l => l.name === 'js label'))

  const b = (await new BucketsAPI(connect()).getBuckets({name: bucket})).buckets[0]
  await new BucketsAPI(connect()).postBucketsIDLabels({bucketID: b.id, body: {labelID: label.id}})
  assert.deepEqual((await new BucketsAPI(connect()).getBucketsIDLabels({bucketID: b.id})).labels.map(l => l.name), ['js label'])
  await labels.deleteLabelsID({labelID: label.id})
  assert.deepEqual((await new BucketsAPI(connect()).getBucketsIDLabels({bucketID: b.id})).labels, [])

  const variables = new VariablesAPI(connect())
  const variable = await variables.postVariables({body: {orgID: id, name: 'js', arguments: {type: 'constant', values: ['a', 'b']}}})
  assert.deepEqual((await variables.getVariablesID({variableID: variable.id})).arguments, {type: 'constant', values: ['a', 'b']})
  assert.ok((await variables.getVariables({orgID: id})).variables.some(v => v.name === 'js'))
  await variables.deleteVariablesID({variableID: variable.id})

  const dbrps = new DbrpsAPI(connect())
  const dbrp = await dbrps.postDBRP({body: {orgID: id, bucketID: b.id, database: 'js', retention_policy: 'rp', default: true}})
  const {content} = await dbrps.getDBRPs({orgID: id, db: 'js'})
  assert.deepEqual(content.map(d => [d.database, d.retention_policy, d.bucketID, d.default]), [['js', 'rp', b.id, true]])
  await dbrps.deleteDBRPID({dbrpID: dbrp.id, orgID: id})

  const telegrafs = new TelegrafsAPI(connect())
  const agent = await telegrafs.postTelegrafs({body: {orgID: id, name: 'js', config: '[[inputs.cpu]]\n', metadata: {buckets: [bucket]}}})
  assert.ok((await telegrafs.getTelegrafs({orgID: id})).configurations.some(c => c.name === 'js'))
  await telegrafs.deleteTelegrafsID({telegrafID: agent.id})

  assert.ok((await new ResourcesAPI(connect()).getResources()).includes('buckets'))
  assert.ok((await new ConfigAPI(connect()).getConfig()).config)
})
