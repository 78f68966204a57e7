import "array"
import "experimental"
import "influxdata/influxdb/monitor"

// defineCheck is what alert and deadman want to know of a check.
defineCheck = (id, name, type="custom") => ({_check_id: id, _check_name: name, _type: type, tags: {}})

// _renamed gives a column another name.
_renamed = (tables=<-, from, to) => tables |> rename(fn: (column) => if column == from then to else column)

// alert gives each row a level and stores it as a status, without the bounds of
// the question.
alert = (
        tables=<-,
        check,
        id=(r) => "${r._check_id}",
        details=(r) => "",
        message=(r) => "Threshold Check: ${r._check_name} is: ${r._level}",
        crit=(r) => false,
        warn=(r) => false,
        info=(r) => false,
        ok=(r) => true,
        topic="",
    ) =>
    {
        tags = check.tags

        return
            tables
                |> drop(columns: ["_start", "_stop"])
                |> map(fn: (r) => ({r with _check_id: check._check_id, _check_name: check._check_name}))
                |> map(fn: (r) => ({r with id: id(r: r)}))
                |> map(fn: (r) => ({r with details: details(r: r)}))
                |> monitor.check(
                    crit: crit,
                    warn: warn,
                    info: info,
                    ok: ok,
                    messageFn: message,
                    data: {check with tags: if topic == "" then tags else {tags with _topic: topic}},
                )
    }

// deadman stores a critical status of each table with too few rows.
deadman = (
        tables=<-,
        check,
        measurement,
        threshold=0,
        id=(r) => "${r._check_id}",
        message=(r) => "Deadman Check: ${r._check_name} is: " + (if r.dead then "dead" else "alive"),
        topic="",
    ) =>
    tables
        |> _count(measurement: measurement, threshold: threshold, now: now())
        |> alert(
            check: check,
            id: id,
            message: message,
            crit: (r) => r.dead,
            topic: topic,
        )

// select gives a column another name, after a function has been applied to it.
select = (tables=<-, column="_value", fn=(tables=<-, column) => tables, as) =>
    tables
        |> fn(column: column)
        |> _renamed(from: column, to: as)

compute = select

// selectWindow is select for each window of time.
selectWindow = (tables=<-, column="_value", fn, as, every, defaultValue) =>
    tables
        |> aggregateWindow(every: every, fn: fn, column: column, createEmpty: true)
        |> fill(column: column, value: defaultValue)
        |> _renamed(from: column, to: as)

groupBy = (tables=<-, columns) => tables |> group(columns: array.concat(arr: ["_measurement"], v: columns))

// join joins two streams and gives the result a measurement.
join = (tables, on=["_time"], measurement) =>
    join(tables: tables, on: on)
        |> map(fn: (r) => ({r with _measurement: measurement}))
        |> experimental.group(mode: "extend", columns: ["_measurement"])
