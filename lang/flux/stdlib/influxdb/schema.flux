// Package schema tells what is in a bucket.

// _from is where the functions read; tests put tables of their own here.
option _from = from

// _rows is what is in question. A stop of nothing is now.
_rows = (bucket, predicate, start, stop) => _from(bucket: bucket)
    |> range(start: start, stop: stop)
    |> filter(fn: predicate)

fieldsAsCols = (tables=<-) => tables
    |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")

tagValues = (bucket, tag, predicate=(r) => true, start=-30d, stop=0s) =>
    _rows(bucket: bucket, predicate: predicate, start: start, stop: stop)
        |> keep(columns: [tag])
        |> group()
        |> distinct(column: tag)

tagKeys = (bucket, predicate=(r) => true, start=-30d, stop=0s) =>
    _rows(bucket: bucket, predicate: predicate, start: start, stop: stop)
        |> keys()
        |> keep(columns: ["_value"])
        |> distinct()

measurementTagValues = (bucket, measurement, tag, start=-30d, stop=0s) =>
    tagValues(bucket: bucket, tag: tag, predicate: (r) => r._measurement == measurement, start: start, stop: stop)

measurementTagKeys = (bucket, measurement, start=-30d, stop=0s) =>
    tagKeys(bucket: bucket, predicate: (r) => r._measurement == measurement, start: start, stop: stop)

fieldKeys = (bucket, predicate=(r) => true, start=-30d, stop=0s) =>
    tagValues(bucket: bucket, tag: "_field", predicate: predicate, start: start, stop: stop)

measurementFieldKeys = (bucket, measurement, start=-30d, stop=0s) =>
    fieldKeys(bucket: bucket, predicate: (r) => r._measurement == measurement, start: start, stop: stop)

measurements = (bucket, start=-30d, stop=0s) =>
    tagValues(bucket: bucket, tag: "_measurement", start: start, stop: stop)
