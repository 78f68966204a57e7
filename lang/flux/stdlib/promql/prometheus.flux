// histogramQuantile estimates a quantile at each time from the bins of a
// histogram of Prometheus. In format 2 the bound of a bin is in column le, in
// format 1 it is the name of a field, besides those of the sum and the count.
histogramQuantile = (tables=<-, quantile, metricVersion=2, onNonmonotonic="error") => {
    bins =
        if metricVersion == 2 then
            tables
        else if metricVersion == 1 then
            tables
                |> filter(fn: (r) => r._field != "sum" and r._field != "count")
                |> rename(columns: {_field: "le"})
        else
            die(msg: "prometheus.histogramQuantile: metricVersion must be 1 or 2")

    return
        bins
            |> filter(fn: (r) => exists r.le)
            |> group(mode: "except", columns: ["le", "_value"])
            |> map(fn: (r) => ({r with le: float(v: r.le)}))
            |> histogramQuantile(quantile: quantile, onNonmonotonic: onNonmonotonic)
            |> map(fn: (r) => ({r with quantile: string(v: quantile)}))
            |> group(mode: "except", columns: ["_time", "_value"])
}
