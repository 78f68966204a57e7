// cardinality counts the series, each field of which is one, that have rows in
// question.
cardinality = (bucket="", bucketID="", org="", orgID="", start, stop=0s, predicate=(r) => true) =>
    (if bucketID == "" then from(bucket: bucket) else from(bucketID: bucketID))
        |> range(start: start, stop: stop)
        |> filter(fn: predicate)
        |> first()
        |> count()
        |> group(columns: ["_start", "_stop"])
        |> sum()
