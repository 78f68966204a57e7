'use strict'
const test = require('node:test')
const assert = require('node:assert')
const {Point, HttpError} = require('@influxdata/influxdb-client')
const {org, bucket, token, connect, connectProxy, faults, restart, exchanges, statuses, count, at} = require('./environment')

const point = (measurement, i) => new Point(measurement).tag('host', 'a').floatField('value', i).timestamp(at(i))

test('points are written when the API is closed', async () => {
  const w = connect().getWriteApi(org, bucket, 'ns', {defaultOptions: {}})
  w.useDefaultTags({from: 'js client'})
  w.writePoint(point('js_points', 0))
  w.writePoints([point('js_points', 1), point('js_points', 2)])
  w.writeRecord(`js_points,host=a value=3 ${at(3).getTime()}000000`)
  w.writeRecords([`js_points,host=a value=4 ${at(4).getTime()}000000`])
  await w.close()
  assert.equal(await count('js_points', 'value'), 5)
})

test('types and characters as the client writes them', async t => {
  for (const precision of ['ns', 'us', 'ms', 's']) {
    await t.test(precision, async () => {
      const measurement = 'js, types ' + precision
      const w = connect().getWriteApi(org, bucket, precision)
      w.writePoint(new Point(measurement)
        .tag('a tag', 'x=y, z').tag('b', 'back\\slash')
        .floatField('float', 1.5).intField('int', -3).uintField('uint', '18446744073709551615').booleanField('bool', true)
        .stringField('text', 'quote " and, backslash \\ and\nnew line').intField('a field', 1)
        .timestamp(at(0)))
      await w.close()
      for (const field of ['float', 'int', 'uint', 'bool', 'text', 'a field']) {
        assert.equal(await count(measurement, field), 1, field)
      }
    })
  }
})

test('batches are sent as they fill, large ones compressed', async () => {
  const client = await connectProxy()
  const w = client.getWriteApi(org, bucket, 'ms', {batchSize: 500, flushInterval: 60_000, gzipThreshold: 1000})
  for (let i = 0; i < 1003; i++) w.writePoint(point('js_batches', i))
  await w.flush()
  await w.close() // waits for the last batch only
  for (let i = 0; i < 200 && await count('js_batches', 'value') < 1003; i++) await new Promise(r => setTimeout(r, 50))
  assert.equal(await count('js_batches', 'value'), 1003)
  const seen = await exchanges('/api/v2/write')
  assert.deepEqual(seen.map(e => e.Status), [204, 204, 204])
  assert.deepEqual(seen.map(e => e.ContentEncoding).sort(), ['', 'gzip', 'gzip'])
})

test('a timer sends what does not fill a batch', async () => {
  const w = connect().getWriteApi(org, bucket, 'ms', {batchSize: 500, flushInterval: 50})
  w.writePoint(point('js_timer', 0))
  for (let i = 0; i < 200 && await count('js_timer', 'value') === 0; i++) await new Promise(r => setTimeout(r, 50))
  assert.equal(await count('js_timer', 'value'), 1)
  await w.close()
})

// The client keeps batches that meet 429, 503 or a lost connection and sends
// each again: no point is lost, and one that is stored twice is one point. How
// long it waits says nothing, because it takes the seconds of Retry-After for
// milliseconds.
test('writes are sent again', {timeout: 60_000}, async () => {
  const client = await connectProxy()
  const failed = []
  let stored
  const done = new Promise(resolve => { stored = resolve })
  const w = client.getWriteApi(org, bucket, 'ms', {
    batchSize: 10, flushInterval: 0, minRetryDelay: 50, maxRetryDelay: 5000, retryJitter: 10, maxRetries: 5,
    writeFailed: e => { failed.push(e.statusCode) }, writeSuccess: () => stored(),
  })
  await faults([{Status: 429, RetryAfter: 1}, {Status: 503, RetryAfter: 1}, {Status: 0, Stored: true}, {Status: 502}])
  for (let i = 0; i < 10; i++) w.writePoint(point('js_retries', i))
  await done
  await w.close()
  assert.equal(await count('js_retries', 'value'), 10)
  assert.deepEqual(failed, [429, 503, undefined, 502])
  assert.deepEqual(await statuses(), [429, 503, 204, 0, 502, 204])
})

test('a server that is killed and comes back costs no point', {timeout: 60_000}, async () => {
  const client = await connectProxy()
  const w = client.getWriteApi(org, bucket, 'ms', {batchSize: 50, flushInterval: 50, minRetryDelay: 50, maxRetryDelay: 100, maxRetries: 100})
  const points = 4000
  for (let i = 0; i < points; i++) {
    if (i === points / 4) await restart()
    w.writePoint(point('js_restart', i))
    if (i % 20 === 0) await new Promise(r => setTimeout(r, 10))
  }
  await w.close()
  for (let i = 0; i < 200 && await count('js_restart', 'value') < points; i++) await new Promise(r => setTimeout(r, 50))
  assert.equal(await count('js_restart', 'value'), points)
  assert.ok((await statuses()).includes(502), 'the client did not notice')
})

test('writes that make no sense are refused once', async t => {
  const first = connect().getWriteApi(org, bucket)
  first.writePoint(point('js_refused', 0))
  await first.close()
  const cases = [
    {what: 'syntax', line: 'js_refused,host=a value=', status: 400, code: 'invalid', message: /^unable to parse 'js_refused,host=a value='/},
    {what: 'type', line: 'js_refused,host=a value="text"', status: 422, code: 'unprocessable entity', message: /partial write/},
    {what: 'token', token: 'wrong', line: 'm f=1', status: 401, code: 'unauthorized', message: /^unauthorized access$/},
    {what: 'bucket', bucket: 'nowhere', line: 'm f=1', status: 404, code: 'not found', message: /^bucket "nowhere" not found$/},
    {what: 'organisation', org: 'nobody', line: 'm f=1', status: 404, code: 'not found', message: /not found/},
  ]
  for (const c of cases) {
    await t.test(c.what, async () => {
      const client = await connectProxy({token: c.token || token})
      const w = client.getWriteApi(c.org || org, c.bucket || bucket, 'ns', {flushInterval: 0})
      w.writeRecord(c.line)
      await assert.rejects(w.close(), e => {
        assert.ok(e instanceof HttpError)
        assert.equal(e.statusCode, c.status)
        assert.equal(e.code, c.code)
        assert.match(e.json.message, c.message)
        return true
      })
      assert.deepEqual(await statuses(), [c.status])
    })
  }
})
