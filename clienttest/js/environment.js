// What the tests of the JavaScript client share. They run against the server
// that the tests one folder up start.
'use strict'
const {InfluxDB, Point, setLogger} = require('@influxdata/influxdb-client')
const {OrgsAPI} = require('@influxdata/influxdb-client-apis')

// The tests look at errors; nobody has to read them.
setLogger({error() {}, warn() {}})

// environ is a value that the tests one folder up hand in.
function environ(name) {
  const v = process.env['CLIENTTEST_' + name]
  if (!v) throw new Error(`CLIENTTEST_${name} is not set: these tests are run by make test-clients`)
  return v
}

const [url, proxy, service, fresh, token, org, bucket] = ['URL', 'PROXY', 'SERVICE', 'FRESH', 'TOKEN', 'ORG', 'BUCKET'].map(environ)

// connect returns a client of the server.
function connect(options = {}) {
  return new InfluxDB({url, fresh, token, ...options})
}

// connectProxy returns a client of the proxy before the server.
async function connectProxy(options = {}) {
  await exchanges('') // forgets what was before
  return new InfluxDB({url: proxy, token, ...options})
}

// faults has the proxy answer the next writes.
async function faults(list) {
  await ask('POST', proxy + '/proxy/faults', list)
}

// restart kills the server; it comes back a little later.
async function restart() {
  await ask('POST', proxy + '/proxy/restart')
}

// exchanges returns the requests of a path that passed since the last call.
async function exchanges(path) {
  const all = await ask('GET', proxy + '/proxy/exchanges')
  return all.filter(e => e.Path === path)
}

// statuses are the answers to all writes since the last call.
async function statuses() {
  return (await exchanges('/api/v2/write')).map(e => e.Status)
}

// count returns how many values of a field the default bucket has, as the
// service port tells.
async function count(measurement, field) {
  const a = await ask('POST', service + '/query',
    {measurement, fields: [field], start: '1970-01-01T00:00:00Z', aggregation: 'count', group_by: []})
  return a.data.length ? a.data[0].value : 0
}

// ask makes a request without the client under test.
async function ask(method, at, body) {
  const r = await fetch(at, {method, body: body && JSON.stringify(body), headers: {Authorization: 'Token ' + token}})
  if (!r.ok) throw new Error(`${method} ${at}: ${r.status} ${await r.text()}`)
  return r.status === 204 ? undefined : r.json()
}

// begin is recent, and so long ago that no point lies in the future.
const begin = Math.floor(Date.now() / 3600e3) * 3600e3 - 2 * 3600e3

// at is a time of i seconds after begin.
function at(i) {
  return new Date(begin + i * 1000)
}

// orgID returns the id of the organisation.
async function orgID() {
  return (await new OrgsAPI(connect()).getOrgs({org})).orgs[0].id
}

// write writes a point, once.
async function write(client, to, name = org) {
  const w = client.getWriteApi(name, to, 'ns', {maxRetries: 0, flushInterval: 0})
  w.writePoint(new Point('m').floatField('f', 1).timestamp(at(0)))
  await w.close()
}

module.exports = {url, fresh, token, org, bucket, orgID, write, connect, connectProxy, faults, restart, exchanges, statuses, count, at}
