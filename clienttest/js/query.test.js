'use strict'
const test = require('node:test')
const assert = require('node:assert')
const {flux, fluxDateTime, fluxDuration, fluxString, HttpError, Point} = require('@influxdata/influxdb-client')
const {org, bucket, token, connect, connectProxy, exchanges, at} = require('./environment')

// fill writes 10 points of a measurement for each of the hosts a and b, a
// second apart, with the fields load (0.5 times the number of the point) and
// users (its number), and returns the beginning of a script that asks for them.
async function fill(measurement) {
  const w = connect().getWriteApi(org, bucket)
  for (const host of ['a', 'b']) {
    for (let i = 0; i < 10; i++) {
      w.writePoint(new Point(measurement).tag('host', host).floatField('load', i / 2).intField('users', i).timestamp(at(i)))
    }
  }
  await w.close()
  return flux`from(bucket: ${bucket}) |> range(start: ${at(0)}, stop: ${at(60)}) |> filter(fn: (r) => r._measurement == ${measurement})`
}

test('rows are collected as objects', async () => {
  const script = await fill('js_query')
  const rows = await connect().getQueryApi(org).collectRows(script)
  assert.equal(rows.length, 40)
  for (const row of rows) {
    const i = (Date.parse(row._time) - at(0)) / 1000
    assert.equal(row._value, row._field === 'load' ? i / 2 : i)
    assert.deepEqual([row.result, row._measurement, Date.parse(row._start), Date.parse(row._stop)], ['_result', 'js_query', +at(0), +at(60)])
  }
  assert.deepEqual(new Set(rows.map(r => `${r.table} ${r.host} ${r._field}`)).size, 4)
})

test('columns of tables are told', async () => {
  const script = await fill('js_columns')
  const tables = []
  let rows = 0
  for await (const {values, tableMeta} of connect().getQueryApi(org).iterateRows(script)) {
    if (tables.at(-1) !== tableMeta) tables.push(tableMeta)
    assert.equal(tableMeta.get(values, '_measurement'), 'js_columns')
    rows++
  }
  assert.equal(rows, 40)
  for (const meta of tables) {
    const types = Object.fromEntries(meta.columns.map(c => [c.label, c.dataType]))
    assert.ok(['double', 'long'].includes(types._value))
    delete types._value
    assert.deepEqual(types, {
      result: 'string', table: 'long', _start: 'dateTime:RFC3339', _stop: 'dateTime:RFC3339', _time: 'dateTime:RFC3339',
      _field: 'string', _measurement: 'string', host: 'string',
    })
    assert.deepEqual(meta.columns.filter(c => c.group).map(c => c.label).sort(), ['_field', '_measurement', '_start', '_stop', 'host'])
  }
})

test('types come back as they were written', async () => {
  const w = connect().getWriteApi(org, bucket, 'ns')
  const text = 'a, "quoted"\r\n text, and ünïcode'
  w.writePoint(new Point('js_query_types').tag('tag', 'x,"y"')
    .floatField('float', -1.5e300).intField('int', -12).uintField('uint', 12).booleanField('yes', true).booleanField('no', false)
    .stringField('text', text).timestamp(`${+at(0)}123456`))
  await w.close()
  const rows = await connect().getQueryApi(org).collectRows(
    flux`from(bucket: ${bucket}) |> range(start: -4h) |> filter(fn: (r) => r._measurement == "js_query_types")`)
  assert.deepEqual(Object.fromEntries(rows.map(r => [r._field, r._value])),
    {float: -1.5e300, int: -12, uint: 12, yes: true, no: false, text})
  assert.ok(rows.every(r => r.tag === 'x,"y"' && r._time.endsWith('.000123456Z')), JSON.stringify(rows))
})

test('values that are special in CSV', async () => {
  const [row] = await connect().getQueryApi(org).collectRows(`import "array"
array.from(rows: [{whole: 3.0, huge: 1e300, inf: float(v: "+Inf"), nan: float(v: "NaN"), at: 2026-01-02T03:04:05.123456789Z, text: "#x", none: ""}])`)
  assert.deepEqual(row, {result: '_result', table: 0, whole: 3, huge: 1e300, inf: Infinity, nan: NaN, at: '2026-01-02T03:04:05.123456789Z', text: '#x', none: ''})
})

// The client shows an error that comes after a part of the answer as a row of
// the columns error and reference.
test('a script that fails late', async () => {
  const w = connect().getWriteApi(org, bucket, 'ms', {batchSize: 5000})
  for (let i = 0; i < 5000; i++) w.writePoint(new Point('js_late').tag('host', 'a').floatField('value', i).timestamp(at(i)))
  await w.close()
  const script = `import "array"
from(bucket: "${bucket}") |> range(start: -4h) |> filter(fn: (r) => r._measurement == "js_late") |> yield(name: "one")
array.from(rows: [{x: "no number"}]) |> map(fn: (r) => ({x: int(v: r.x)})) |> yield(name: "two")`
  const rows = await connect().getQueryApi(org).collectRows(script).catch(e => [{error: e.json.message}])
  assert.match(rows.at(-1).error, /no number/)
})

test('rows and lines are observed', async () => {
  const script = await fill('js_observed')
  const api = connect().getQueryApi(org)
  let rows = 0
  await new Promise((complete, error) => api.queryRows(script, {next: () => { rows++ }, error, complete}))
  assert.equal(rows, 40)
  const lines = await api.collectLines(script)
  assert.equal(lines.filter(l => l.startsWith(',,')).length, 40)
  assert.ok(lines[0].startsWith('#datatype,string,long,'), lines[0])
  const raw = await api.queryRaw(script)
  assert.deepEqual(raw.split('\r\n').filter(l => l !== ''), lines.filter(l => l !== ''))
})

test('aggregates, windows, groups and pivots', async t => {
  const from = await fill('js_shapes')
  const api = connect().getQueryApi(org)
  for (const [name, rest, want] of [
    ['mean', '|> filter(fn: (r) => r._field == "load") |> mean()', [2.25, 2.25]],
    ['window', '|> filter(fn: (r) => r._field == "load" and r.host == "a") |> aggregateWindow(every: 5s, fn: max, createEmpty: false)', [2, 4.5]],
    ['last', '|> filter(fn: (r) => r._field == "users") |> last()', [9, 9]],
    ['group', '|> filter(fn: (r) => r._field == "users") |> group() |> sum()', [90]],
    ['count', '|> filter(fn: (r) => r._field == "users") |> count()', [10, 10]],
    ['empty', '|> filter(fn: (r) => r.host == "c")', []],
  ]) {
    await t.test(name, async () => {
      assert.deepEqual((await api.collectRows(from + rest)).map(r => r._value), want)
    })
  }
  await t.test('pivot', async () => {
    const rows = await api.collectRows(from + '|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")')
    assert.equal(rows.length, 20)
    for (const r of rows) assert.equal(r.load * 2, r.users)
  })
  await t.test('several results', async () => {
    const rows = await api.collectRows(`data = ${from}\ndata |> first() |> yield(name: "one")\ndata |> last() |> yield(name: "two")`)
    const n = {}
    for (const r of rows) n[r.result] = (n[r.result] || 0) + 1
    assert.deepEqual(n, {one: 4, two: 4})
  })
  await t.test('values in templates', async () => {
    const rows = await api.collectRows(flux`from(bucket: ${fluxString(bucket)}) |> range(start: ${fluxDateTime(at(0).toISOString())}, stop: ${at(60)})
      |> filter(fn: (r) => r._measurement == "js_shapes" and r._field == "load" and contains(value: r.host, set: ${['a', 'c']}) and r._value > ${3.5})
      |> window(every: ${fluxDuration('1m')})`)
    assert.deepEqual(rows.map(r => r._value), [4, 4.5])
  })
})

test('now is what the client says', async () => {
  await fill('js_now')
  const api = connect().getQueryApi({org, now: () => at(5).toISOString()})
  const rows = await api.collectRows(flux`from(bucket: ${bucket}) |> range(start: -3s) |> filter(fn: (r) => r._measurement == "js_now" and r._field == "load" and r.host == "a")`)
  assert.deepEqual(rows.map(r => r._value), [1, 1.5, 2])
})

test('answers are compressed', async () => {
  const client = await connectProxy()
  const w = client.getWriteApi(org, bucket, 'ms', {batchSize: 5000}) // close waits for one batch only
  for (let i = 0; i < 3000; i++) w.writePoint(new Point('js_query_gzip').tag('host', 'a').floatField('value', i).timestamp(at(i)))
  await w.close()
  const script = flux`from(bucket: ${bucket}) |> range(start: -4h) |> filter(fn: (r) => r._measurement == "js_query_gzip")`
  assert.equal((await client.getQueryApi({org, gzip: true}).collectRows(script)).length, 3000)
  assert.equal((await client.getQueryApi({org, gzip: false}).collectRows(script)).length, 3000)
  const seen = await exchanges('/api/v2/query')
  assert.deepEqual(seen.map(e => e.AnswerEncoding), ['gzip', ''])
})

test('errors of scripts', async t => {
  for (const c of [
    {what: 'syntax', script: 'from(bucket: "x"\n|> range(', status: 400, code: 'invalid', message: /2:/},
    {what: 'name', script: 'from(bucket: "x") |> rang(start: -1h)', status: 400, code: 'invalid', message: /rang/},
    {what: 'bucket', script: 'from(bucket: "nowhere") |> range(start: -1h)', status: 404, code: 'not found', message: /could not find bucket "nowhere"/},
    {what: 'token', token: 'wrong', script: 'buckets()', status: 401, code: 'unauthorized', message: /^unauthorized access$/},
    {what: 'organisation', org: 'nobody', script: 'buckets()', status: 404, code: 'not found', message: /not found/},
  ]) {
    await t.test(c.what, async () => {
      await assert.rejects(connect({token: c.token || token}).getQueryApi(c.org || org).collectRows(c.script), e => {
        assert.ok(e instanceof HttpError, String(e))
        assert.equal(e.statusCode, c.status)
        assert.equal(e.code, c.code)
        assert.match(e.json.message, c.message)
        return true
      })
    })
  }
})
