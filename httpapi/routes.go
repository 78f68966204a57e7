package httpapi

import (
	"net/http"
	"slices"

	"github.com/varvedb/varve/export/stream"
	"github.com/varvedb/varve/plan"
)

// route is a handler, where it is, and what it does.
type route struct {
	method, path string
	serve        handler
	about        *operation
}

// Parameters that several routes have.

func orgParameters() []parameter {
	return []parameter{
		{"org", "organisation by name or id; default: that of the token", text(), false},
		{"orgID", "instead of org, by id", text(), false},
	}
}

func bucketParameters() []parameter {
	return append(orgParameters(),
		parameter{"bucket", "bucket by name or id; default: that of the token", text(), false},
		parameter{"bucketID", "instead of bucket, by id", text(), false})
}

func listParameters() []parameter {
	return []parameter{
		{"bucket", "bucket by name or id; default: that of the token", text(), false},
		{"org", "organisation by name or id; default: that of the token", text(), false},
		{"measurement", "only what this measurement has", text(), false},
		{"start", "only what has points from here on, to the partition: RFC 3339, relative (-1h) or a number since 1970", text(), false},
		{"stop", "only what has points before", text(), false},
	}
}

func remoteWriteOperation(name string) *operation {
	return &operation{
		name: name, group: "Points", summary: "Store what Prometheus writes, remote write 1.0 or 2.0",
		about: "The body is a message of protocol buffers, compressed by Snappy; Content-Type says of which version. Answers when the samples are on disk. Series or samples that cannot be stored are left out, and the answer is 400 then, which Prometheus does not send again.\n\n" +
			"A metric becomes a measurement with the field `value`, its labels become tags; a native histogram becomes the classic one that says the same; exemplars and metadata are not stored. The token may stand in the parameter p or as the password of Basic too.",
		params: append(bucketParameters(),
			parameter{"db", "instead of a bucket: database of InfluxDB 1", text(), false},
			parameter{"rp", "its retention policy", text(), false},
			parameter{"p", "token", text(), false}, parameter{"u", "user", text(), false}),
		takesAs: "application/x-protobuf", example: "\x00", status: http.StatusNoContent, // a message of nothing
	}
}

// pointRoutes are those of the port that InfluxDB clients use.
func (a *API) pointRoutes() []route {
	return append([]route{
		{http.MethodPost, "/api/v2/write", a.write2, &operation{
			name: "write", group: "Points", summary: "Store line protocol",
			about: "Answers when the points are on disk. A syntax error refuses the whole body (400); points that contradict the types or the retention of the bucket are left out and the others stored (422). The body may be gzip or zstd, as Content-Encoding says.",
			params: append(bucketParameters(),
				parameter{"precision", "unit of timestamps; default: ns", oneOf("ns", "us", "ms", "s"), false}),
			takesAs: "text/plain", example: "weather,city=Kyiv temperature=21.5", status: http.StatusNoContent}},
		{http.MethodPost, "/write", a.write1, &operation{
			name: "write1", group: "Points", summary: "Store line protocol, for clients of InfluxDB 1",
			about: "The token may stand in the parameter p or as the password of Basic too. Database and retention policy name the bucket db/rp, or db for none.",
			params: []parameter{
				{"db", "database", text(), true}, {"rp", "retention policy", text(), false},
				{"p", "token", text(), false}, {"u", "user, of no importance", text(), false},
				{"precision", "unit of timestamps; default: ns", oneOf("ns", "n", "us", "u", "ms", "s", "m", "h"), false}},
			takesAs: "text/plain", example: "weather,city=Kyiv temperature=21.5", status: http.StatusNoContent}},
		{http.MethodPost, "/api/v1/write", a.remoteWrite, remoteWriteOperation("remoteWrite")},
		{http.MethodPost, "/api/v1/prom/write", a.remoteWrite, remoteWriteOperation("remoteWriteInflux1")},
		{http.MethodPost, "/v1/metrics", a.takeMetricsHTTP, &operation{
			name: "otlpMetrics", group: "Points", summary: "Store metrics of OpenTelemetry (OTLP)",
			about:  "An ExportMetricsServiceRequest in protobuf or JSON, plain or gzip. Answers when the points are on disk, with the number of data points that were left out, if any, as a partial success. Errors are a google.rpc.Status in the encoding of the request. Bucket and organisation may stand in the headers Varve-Bucket and Varve-Org too.",
			params: bucketParameters(), takesAs: "application/json", example: `{"resourceMetrics": []}`,
			status: http.StatusOK, gives: metricsAnswer{}, fault: rpcStatus{}}},
		{http.MethodPost, "/api/v2/delete", a.delete, &operation{
			name: "delete", group: "Points", summary: "Delete points by time, tags, measurement and field",
			params: bucketParameters(), takes: deleteRequest{},
			example: `{"start":"2026-01-01T00:00:00Z","stop":"2026-01-02T00:00:00Z","predicate":"_measurement=\"weather\" AND city=\"Kyiv\""}`,
			status:  http.StatusNoContent}},
		{http.MethodPost, "/api/v2/query", a.fluxQuery, &operation{
			name: "query", group: "Scripts", summary: "Run a Flux script",
			about:  "Answers with annotated CSV, a block for each run of tables with the same columns. A body of type application/vnd.flux is the script itself. An error that is found after the beginning of the answer stands at its end, as a table with the columns error and reference. A script sees what its token may read. With explain the answer is the plan, as plain text.",
			params: orgParameters(), takes: fluxRequest{},
			example: `{"query": "from(bucket: \"default\") |> range(start: -1h) |> limit(n: 10)", "dialect": {"annotations": ["datatype", "group", "default"]}}`,
			status:  http.StatusOK, givesAs: "text/csv text/plain"}},
		{http.MethodGet, "/api/v2/query/suggestions", a.suggest, &operation{
			name: "querySuggestions", group: "Scripts", summary: "Functions of Flux, for editors",
			status: http.StatusOK, gives: suggestions{}}},
		{http.MethodGet, "/api/v2/query/suggestions/{name}", a.suggestOne, &operation{
			name: "querySuggestion", group: "Scripts", summary: "A function of Flux",
			status: http.StatusOK, gives: suggestion{}}},
		{http.MethodPost, "/api/v2/query/analyze", a.analyze, &operation{
			name: "analyzeQuery", group: "Scripts", summary: "What is wrong with a Flux script",
			about: "Answers 200 with the errors, whose lines and columns count from 1. What shows without running it is looked at: the grammar, names and packages.",
			takes: script{}, example: `{"query": "from(bucket: \"default\") |> range(start: -1h)"}`,
			status: http.StatusOK, gives: scriptErrors{}}},
		{http.MethodPost, "/api/v2/query/ast", a.ast, &operation{
			name: "queryAST", group: "Scripts", summary: "A Flux script as a tree",
			takes: script{}, example: `{"query": "from(bucket: \"default\") |> range(start: -1h)"}`,
			status: http.StatusOK, gives: scriptTree{}}},
		{http.MethodGet, "/ping", a.ping, &operation{
			name: "ping", group: "Server", summary: "Is it there?", open: true, status: http.StatusNoContent}},
		{http.MethodGet, "/health", a.influxHealth, &operation{
			name: "health", group: "Server", summary: "Is it well?", about: "503 if it fails at something; checks say at what.",
			open: true, status: http.StatusOK, also: []int{http.StatusServiceUnavailable}, gives: influxHealthAnswer{}}},
		{http.MethodGet, "/ready", a.ready, &operation{
			name: "ready", group: "Server", summary: "Since when does it serve?", open: true, status: http.StatusOK, gives: readyAnswer{}}},
		{http.MethodGet, "/metrics", a.serveMetrics, &operation{
			name: "metrics", group: "Server", summary: "Metrics for Prometheus", open: true, status: http.StatusOK, givesAs: "text/plain"}},
	}, slices.Concat(a.liveRoutes(func(r *http.Request) (Principal, error) { return a.principal(r, headerOnly) }), a.managed.routes())...)
}

// serviceRoutes are those of the service port.
func (a *API) serviceRoutes() []route {
	return append([]route{
		{http.MethodPost, "/data", a.data, &operation{
			name: "data", group: "Points", summary: "Store points",
			about: "A point or an array of points. Answers when they are on disk. A body with a bad point is refused as a whole (400); points that contradict the types or the retention of the bucket are left out and the others stored (422). The body may be gzip or zstd, as Content-Encoding says.\n\n" +
				"A number is what its field already is: in an integer field 3 and 3.0 are integers, in a float field both are floats, and a new field is a float.",
			params: bucketParameters(), takes: dataBody{},
			example: `[{"measurement":"weather","tags":{"city":"Kyiv"},"fields":{"temperature":21.5,"sunny":true},"timestamp":"2026-01-02T15:04:05Z"}]`,
			status:  http.StatusOK, gives: dataAnswer{}}},
		{http.MethodPost, "/query", a.query, &operation{
			name: "query", group: "Questions", summary: "Ask for rows or aggregates",
			about: "A long answer is sent as it is found. If something fails after its beginning, the connection is closed: an answer without its end is no answer.\n\n" +
				"With `every`, a value has the time at which its window begins. Without it, `min`, `max`, `first` and `last` have the time of the point, the others that of `start`.",
			params: []parameter{{"org", "organisation by name or id; default: that of the token", text(), false}},
			takes:  queryRequest{}, example: `{"measurement":"weather","start":"-7d","fields":["temperature"],"aggregation":"mean","every":"1h","group_by":["city"]}`,
			status: http.StatusOK, gives: queryAnswer{}}},
		{http.MethodGet, "/measurements", a.list(plan.List{What: plan.Measurements}), &operation{
			name: "measurements", group: "Names", summary: "Measurements of a bucket", params: listParameters(), status: http.StatusOK, gives: namesAnswer{}}},
		{http.MethodGet, "/measurements/{measurement}/tags", a.list(plan.List{What: plan.TagKeys}), &operation{
			name: "tags", group: "Names", summary: "Tags of a measurement", params: listParameters(), status: http.StatusOK, gives: namesAnswer{}}},
		{http.MethodGet, "/measurements/{measurement}/fields", a.list(plan.List{What: plan.Fields}), &operation{
			name: "fields", group: "Names", summary: "Fields of a measurement and their types", params: listParameters(), status: http.StatusOK, gives: namesAnswer{}}},
		{http.MethodGet, "/tags/{tag}/values", a.list(plan.List{What: plan.TagValues}), &operation{
			name: "tagValues", group: "Names", summary: "Values of a tag", params: listParameters(), status: http.StatusOK, gives: namesAnswer{}}},
		{http.MethodGet, "/health", a.serviceHealth, &operation{
			name: "health", group: "Server", summary: "Is it well?", about: "503 if it fails at something. Reasons say what takes points off the score.",
			open: true, status: http.StatusOK, also: []int{http.StatusServiceUnavailable}, gives: healthAnswer{}}},
		{http.MethodPost, "/api/v1/export", a.export, &operation{
			name: "export", group: "Questions", summary: "All rows of a bucket, or of a part of it, as line protocol",
			about:  "Of one moment: what is written meanwhile is not in it. Clients that accept " + "`" + stream.ContentType + "`" + " get the columnar stream that `varve export` reads. If something fails after the beginning, the connection is closed.",
			params: []parameter{{"org", "organisation by name or id; default: that of the token", text(), false}},
			takes:  exportRequest{}, example: `{"measurements":["weather"],"start":"-7d"}`,
			status: http.StatusOK, givesAs: "text/plain"}},
		{http.MethodGet, "/api/v1/pipelines", a.pipelinesStatus, &operation{
			name: "pipelines", group: "Server", summary: "How pipelines fare",
			about:  "Takes an operator's token. What was refused is kept with its reason in the measurement `refused` of the bucket `dead-letter`, unless the file says otherwise.",
			status: http.StatusOK, gives: PipelinesAnswer{}}},
		{http.MethodPost, "/api/v1/pipelines/reload", a.pipelinesReload, &operation{
			name: "reloadPipelines", group: "Server", summary: "Read the file of pipelines again",
			about:  "Takes an operator's token. A file with a mistake is refused (400), and the pipelines stay as they were.",
			status: http.StatusNoContent}},
		{http.MethodPost, "/api/v1/settle", a.settle, &operation{
			name: "settle", group: "Server", summary: "Flush and merge until nothing is left to do", about: "Takes an all-access token.", status: http.StatusNoContent}},
		{http.MethodPost, "/api/v1/check", a.check, &operation{
			name: "check", group: "Server", summary: "Look for damage in the whole store",
			about:  "Takes an all-access token. A JSON object in a line for each problem, and one with the number of problems at the end.",
			status: http.StatusOK, givesAs: "application/x-ndjson"}},
	}, a.liveRoutes(a.servicePrincipal)...)
}

const liveGroup = "Points as they come, and the devices that send them"

// liveRoutes are on both ports.
func (a *API) liveRoutes(identify func(*http.Request) (Principal, error)) []route {
	return []route{{http.MethodGet, "/api/v1/stream", a.stream(identify), &operation{
		name: "stream", group: "Live", summary: "Points as they are stored",
		about: "Each point comes when it is on disk, as a JSON object `{\"time\":…,\"measurement\":…,\"tags\":{…},\"fields\":{…}}`: an event each, or a line each for clients that accept `application/x-ndjson`. " +
			"A request for a WebSocket gets text messages of one or more lines.\n\n" +
			"Who reads too slowly loses the oldest of the points that wait, and gets `{\"missed\":n}` in their place. `{\"end\":…}` says why the server ends a stream: the limit or the duration is reached, the token may not read any more, the server stops. " +
			"Between the points that a stream begins with (`last`, `since`) and the live ones none is left out, but some may come twice.",
		params: streamParameters(), status: http.StatusOK, givesAs: contentEvents + " " + contentLines}},
		{http.MethodGet, "/api/v1/devices", a.listDevices(identify), &operation{
			name: "devices", group: "Live", summary: "Devices: since when, when last heard of, how often, online or not",
			about: "A device is a value of the tag that names the devices of a measurement: the first of the setting `devices.tags` that it has. What is said of devices is derived from the points that are stored. " +
				"`online=false` has to look at all devices before the first that is offline: some seconds for a million.",
			params: devicesParameters(),
			status: http.StatusOK, gives: devicesAnswer{}}},
		{http.MethodGet, "/api/v1/devices/{device}", a.device(identify), &operation{
			name: "device", group: "Live", summary: "A device, its series and their last values",
			params: deviceParameters(), status: http.StatusOK, gives: deviceDetailAnswer{}}},
	}
}

// Points returns the handler of the port that InfluxDB clients use.
func (a *API) Points() http.Handler {
	return a.router(answerInflux, a.inDocument(port{
		title: "Varve: points and buckets",
		about: "The port for InfluxDB 2 clients: line protocol, deletes, buckets and who may do what. Points as JSON and questions are on the service port, which has a document of its own.",
		groups: append([][2]string{{"Points", "Write and delete points"}, {"Scripts", "Flux"},
			{"Live", liveGroup}, {"Server", "What operators ask"}, {"About", "This document"}}, a.managed.Groups...),
		fault: influxFault{},
	}, a.pointRoutes()))
}

// Service returns the handler of the service port.
func (a *API) Service() http.Handler {
	return a.router(answerDetail, a.inDocument(port{
		title: "Varve: time series",
		about: "Points as JSON, questions and names. Line protocol and buckets are on the port for InfluxDB clients, which has a document of its own.",
		groups: [][2]string{{"Points", "Write points"}, {"Questions", "Ask for points"}, {"Names", "What there is to ask for"},
			{"Live", liveGroup}, {"Server", "What operators ask"}, {"About", "This document"}},
		fault: detailFault{},
	}, a.serviceRoutes()))
}
