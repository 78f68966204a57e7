import "array"

_url = "https://influx-testdata.s3.amazonaws.com/"

// list tells which data sets there are, and where.
list = () =>
    array.from(
        rows: [
            {name: "airSensor", description: "Temperature, humidity and carbon monoxide of an office building, simulated", url: _url + "air-sensor-data-annotated.csv", type: "csv", size: "~600 KB"},
            {name: "birdMigration", description: "Birds that migrated within Africa in 2019", url: _url + "bird-migration.csv", type: "csv", size: "~1.2 MB"},
            {name: "bitcoin", description: "Prices of bitcoin over 30 days", url: _url + "bitcoin-historical-annotated.csv", type: "csv", size: "~700 KB"},
            {name: "machineProduction", description: "States and readings of four machines of a production line", url: _url + "machine-production.csv", type: "csv", size: "~11.9 MB"},
            {name: "noaa", description: "Latest observations of buoys of the NOAA", url: _url + "noaa-ndbc-latest-observations-annotated.csv", type: "csv", size: "~1.3 MB"},
            {name: "noaaWater", description: "Water levels at two stations of the NOAA in 2019", url: _url + "noaa-water-database.csv", type: "csv", size: "~10.3 MB"},
            {name: "usgs", description: "Earthquakes of a week, from the USGS", url: _url + "usgs-earthquake-all-week-annotated.csv", type: "csv", size: "~6 MB"},
        ],
    )

// alignToNow shifts all times so that the latest _time is now.
alignToNow = (tables=<-) => {
    latest =
        (tables
            |> keep(columns: ["_time"])
            |> group()
            |> sort(columns: ["_time"], desc: true)
            |> limit(n: 1)
            |> findRecord(fn: (key) => true, idx: 0))._time

    return tables |> timeShift(duration: duration(v: int(v: now()) - int(v: latest)))
}
