import "experimental"
import "influxdata/influxdb"
import "influxdata/influxdb/v1"

bucket = "_monitoring"

// write stores statuses, log what notifications were sent.
option write = (tables=<-) => tables |> influxdb.wideTo(bucket: bucket)
option log = (tables=<-) => tables |> influxdb.wideTo(bucket: bucket)

// _stored reads a measurement of the bucket of monitoring, with fields as
// columns.
_stored = (measurement, start, stop, fn) =>
    influxdb.from(bucket: bucket)
        |> range(start: start, stop: stop)
        |> filter(fn: (r) => r._measurement == measurement)
        |> v1.fieldsAsCols()
        |> filter(fn: fn)

// from reads statuses, logs reads notifications.
from = (start, stop=0s, fn=(r) => true) => _stored(measurement: "statuses", start: start, stop: stop, fn: fn)
logs = (start, stop=0s, fn) => _stored(measurement: "notifications", start: start, stop: stop, fn: fn)

// _extend puts columns into group keys.
_extend = (tables=<-, columns) => tables |> experimental.group(mode: "extend", columns: columns)

// check gives each row a level and a message, and stores it as a status.
check = (
        tables=<-,
        data,
        messageFn,
        crit=(r) => false,
        warn=(r) => false,
        info=(r) => false,
        ok=(r) => true,
    ) =>
    {
        levelOf = (r) =>
            if crit(r: r) then
                "crit"
            else if warn(r: r) then
                "warn"
            else if info(r: r) then
                "info"
            else if ok(r: r) then
                "ok"
            else
                "unknown"

        return
            tables
                |> experimental.set(o: data.tags)
                |> _extend(columns: experimental.objectKeys(o: data.tags))
                |> map(
                    fn: (r) =>
                        ({r with
                            _measurement: "statuses",
                            _source_measurement: r._measurement,
                            _type: data._type,
                            _check_id: data._check_id,
                            _check_name: data._check_name,
                            _level: levelOf(r: r),
                            _source_timestamp: int(v: r._time),
                            _time: now(),
                        }),
                )
                |> map(fn: (r) => ({r with _message: messageFn(r: r)}))
                |> _extend(columns: ["_source_measurement", "_type", "_check_id", "_check_name", "_level"])
                |> write()
    }

// deadman tells of each table whether its last row is older than a time.
deadman = (tables=<-, t) =>
    tables
        |> sort(columns: ["_time"])
        |> tail(n: 1)
        |> map(fn: (r) => ({r with dead: r._time < t}))

// notify sends rows to an endpoint and stores that it did.
notify = (tables=<-, endpoint, data) =>
    tables
        |> experimental.set(o: data)
        |> _extend(columns: experimental.objectKeys(o: data))
        |> map(
            fn: (r) =>
                ({r with
                    _measurement: "notifications",
                    _status_timestamp: int(v: r._time),
                    _time: now(),
                }),
        )
        |> endpoint()
        |> _extend(columns: ["_sent"])
        |> log()
