#!/bin/sh
# Has the official clients of InfluxDB 2, and Telegraf, use the server. Installs
# them, in the versions that are pinned here and in clienttest, into a folder
# that git does not see. Needs Python with venv and Node.js with npm.
#
#   scripts/test-clients.sh [ARGUMENTS OF go test, such as -run TestPython]
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}
telegraf=1.37.2
cache=$PWD/bin/clients
mkdir -p "$cache"

# A stamp is what was installed; it is written last.
if ! cmp -s clienttest/python/requirements.txt "$cache/python/requirements.txt" ||
	! "$cache/python/bin/python" -c 'import influxdb_client, pandas, aiohttp' 2>/dev/null; then
	echo "installing the Python client"
	rm -rf "$cache/python"
	python3 -m venv "$cache/python"
	"$cache/python/bin/pip" install --quiet --disable-pip-version-check -r clienttest/python/requirements.txt
	cp clienttest/python/requirements.txt "$cache/python/"
fi

if ! cmp -s clienttest/js/package-lock.json "$cache/js/installed"; then
	echo "installing the JavaScript client"
	rm -rf "$cache/js"
	mkdir "$cache/js"
	cp clienttest/js/package.json clienttest/js/package-lock.json "$cache/js/"
	npm ci --prefix "$cache/js" --silent --no-audit --no-fund
	cp clienttest/js/package-lock.json "$cache/js/installed"
fi

# Only the plugins that the configurations name: the whole has hundreds.
plugins=outputs.influxdb_v2,outputs.http,outputs.opentelemetry,serializers.prometheusremotewrite
plugins=$plugins,inputs.cpu,inputs.mem,inputs.disk,inputs.system
if [ "$(cat "$cache/telegraf-$telegraf/plugins" 2>/dev/null)" != "$plugins" ]; then
	echo "building Telegraf"
	GOBIN=$cache/telegraf-$telegraf "$go" install -tags "custom,$plugins" \
		"github.com/influxdata/telegraf/cmd/telegraf@v$telegraf"
	echo "$plugins" >"$cache/telegraf-$telegraf/plugins"
fi

exec "$go" test -count 1 -timeout 10m -v ./clienttest -go \
	-python "$cache/python/bin/python" -node "$cache/js/node_modules" \
	-telegraf "$cache/telegraf-$telegraf/telegraf" "$@"
