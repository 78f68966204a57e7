#!/usr/bin/env bash
# Runs the same load on Varve and on Debian's VictoriaMetrics and InfluxDB, one
# after another on this machine, and prints what each made of it. The loader
# is "varve bench write" for all; each server starts on an empty data folder,
# listens on loopback only and is stopped before the next one starts. Engines
# take turns round by round, so that a slow minute of the machine does not hit
# one of them alone; medians over the rounds are printed.
#
#   scripts/bench-peers.sh [-n ROUNDS] [-v VALUES] [-f "host truck"] [-e "varve victoria influx"] [-d DEVICES] [-k]
#
# -n  rounds (3)             -v  field values per load, in millions (60)
# -f  fleets to send         -e  engines to run
# -d  devices of a fleet (1000: with 60 M values 17 hours of hosts, so that the
#     index of series does not outweigh the values on disk)
# -k  keep the reports and logs, and say where they are
#
# What "settled" means: Varve answered POST /api/v1/settle, which flushes and
# compacts until nothing is left to do; VictoriaMetrics finished a forced
# merge; InfluxDB compacted its idle shards fully (its two delays for idle
# shards are shortened to seconds for that; they do nothing under load). All
# else is what the packages ship: VictoriaMetrics acknowledges before anything
# is on disk, InfluxDB and Varve after fsync.
set -euo pipefail

rounds=3 values=60 devices=1000 fleets="host truck" engines="varve victoria influx" keep=0
usage() { sed -n '9,15s/^# \{0,1\}//p' "$0" >&2; exit 2; }
while getopts n:v:f:e:d:kh opt; do
    case $opt in
        n) rounds=$OPTARG ;;
        v) values=$OPTARG ;;
        f) fleets=$OPTARG ;;
        e) engines=$OPTARG ;;
        d) devices=$OPTARG ;;
        k) keep=1 ;;
        *) usage ;;
    esac
done
[[ $rounds =~ ^[1-9][0-9]*$ && $values =~ ^[1-9][0-9]*$ && $devices =~ ^[1-9][0-9]*$ ]] || usage
for f in $fleets; do [[ $f == host || $f == truck ]] || usage; done
for e in $engines; do [[ $e == varve || $e == victoria || $e == influx ]] || usage; done

cd "$(dirname "$0")/.."
varve=${VARVE:-bin/varve} # another build can be measured: VARVE=/path scripts/bench-peers.sh

# Bounds in seconds: of a start, of a load, of settling, of a stop.
start_limit=30 load_limit=900 settle_limit=300 stop_limit=60

server=0 # the process that this script started and has not yet stopped
work=$(mktemp -d "${TMPDIR:-/tmp}/bench-peers.XXXXXX")
cleanup() {
    [[ $server == 0 ]] || kill -KILL "$server" 2>/dev/null || true
    rm -rf "$work/data"
    if [[ $keep == 1 ]]; then echo "reports and logs: $work"; else rm -rf "$work"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '%s\n' "$*" >&2; }
die() { say "bench-peers: $*"; exit 1; }

# install PROGRAM PACKAGE: takes the package from Debian unless the program is
# there. A policy-rc.d that says no keeps the package from starting a service.
install_peer() {
    command -v "$1" >/dev/null && return
    say "installing $2"
    local as=() policy=/usr/sbin/policy-rc.d made=0 ok=1
    [[ $(id -u) == 0 ]] || as=(sudo)
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${as[@]}" tee "$policy" >/dev/null
        "${as[@]}" chmod 755 "$policy"
        made=1
    fi
    "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2" >"$work/apt.log" 2>&1 ||
        { "${as[@]}" apt-get update >>"$work/apt.log" 2>&1 &&
            "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2" >>"$work/apt.log" 2>&1; } || ok=0
    [[ $made == 0 ]] || "${as[@]}" rm -f "$policy"
    [[ $ok == 1 ]] && command -v "$1" >/dev/null ||
        die "cannot install $2: $(tail -n 1 "$work/apt.log"). Install it by hand, or leave it out with -e"
}

free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 12000)) # below the ports that clients get
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    die "no free port"
}

# wait_for SECONDS COMMAND...: repeats the command until it succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [[ $SECONDS -lt $end ]] || return 1
        kill -0 "$server" 2>/dev/null || return 1
        sleep 0.2
    done
}

get() { curl -sf --max-time 10 "$@"; }

# settled_size DIR: waits until the folder has not changed its size for ten
# seconds.
settled_size() {
    local end=$((SECONDS + settle_limit)) last=-1 now since=$SECONDS
    while [[ $SECONDS -lt $end ]]; do
        now=$(du -s --block-size=1 "$1" 2>/dev/null | cut -f1) || true
        [[ $now == "$last" ]] || since=$SECONDS
        [[ $((SECONDS - since)) -lt 10 ]] || return 0
        last=$now
        sleep 1
    done
    say "  the data folder still changes after $settle_limit s"
}

port=0 service_port=0 token=""

start_varve() {
    token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    service_port=$(free_port)
    VARVE_ADMIN_TOKEN=$token "$varve" serve --data-dir "$1" --http-addr "127.0.0.1:$port" \
        --service-addr "127.0.0.1:$service_port" --init-org bench --init-bucket bench --init-retention 0 >"$2" 2>&1 &
    server=$!
    wait_for "$start_limit" get "http://127.0.0.1:$port/ready"
    api=(--api v2 --org bench --bucket bench)
}
settle_varve() {
    curl -sf --max-time "$settle_limit" -X POST -H "Authorization: Token $token" "http://127.0.0.1:$service_port/api/v1/settle" >/dev/null ||
        say "  settle failed: the size is that of an unsettled store"
}

start_victoria() {
    token=""
    victoria-metrics -storageDataPath="$1" -httpListenAddr="127.0.0.1:$port" -retentionPeriod=100y -loggerLevel=WARN >"$2" 2>&1 &
    server=$!
    wait_for "$start_limit" get "http://127.0.0.1:$port/health"
    api=(--api v1 --db bench)
}
settle_victoria() {
    get "http://127.0.0.1:$port/internal/force_flush" >/dev/null || say "  force_flush failed"
    get "http://127.0.0.1:$port/internal/force_merge" >/dev/null || say "  force_merge failed"
    settled_size "$1" # the merge runs on after the answer
}

start_influx() {
    token=""
    service_port=$(free_port)
    cat >"$work/influxdb.conf" <<CONF
reporting-disabled = true
bind-address = "127.0.0.1:$service_port"
[meta]
  dir = "$1/meta"
[data]
  dir = "$1/data"
  wal-dir = "$1/wal"
  query-log-enabled = false
  cache-snapshot-write-cold-duration = "5s"
  compact-full-write-cold-duration = "5s"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:$port"
  log-enabled = false
CONF
    influxd -config "$work/influxdb.conf" >"$2" 2>&1 &
    server=$!
    wait_for "$start_limit" get "http://127.0.0.1:$port/ping"
    get -X POST --data-urlencode 'q=CREATE DATABASE bench' "http://127.0.0.1:$port/query" >/dev/null
    api=(--api v1 --db bench)
}
settle_influx() {
    sleep 20 # idle shards are looked for every few seconds
    settled_size "$1"
}

stop_server() {
    kill -TERM "$server" 2>/dev/null || true
    for _ in $(seq $((stop_limit * 5))); do
        kill -0 "$server" 2>/dev/null || break
        sleep 0.2
    done
    kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=0
}

# cpu_of PID: seconds of CPU time.
cpu_of() { sed 's/.*) //' "/proc/$1/stat" | awk -v hz="$(getconf CLK_TCK)" '{ print ($12 + $13) / hz }'; }

# number FILE KEY: the first number of that name in a JSON object.
number() { grep -o "\"$2\":[-+0-9.eE]*" "$1" | head -n 1 | cut -d: -f2; }

measure() { # ROUND FLEET ENGINE
    local data="$work/data" log="$work/$3-$2-$1.log" report="$work/$3-$2-$1.json" rows api=() begun loaded settled disk
    # Ten fields a host; a truck's two rows have 7 and 3, some missing.
    case $2 in host) rows=$((values * 100000)) ;; truck) rows=$((values * 205000)) ;; esac
    rm -rf "$data"
    mkdir "$data"
    port=$(free_port)
    "start_$3" "$data" "$log" || die "$3 did not start: $(tail -n 3 "$log")"
    begun=$(cpu_of "$server")
    VARVE_TOKEN=$token timeout "$load_limit" "$varve" bench write --url "http://127.0.0.1:$port" "${api[@]}" \
        --fleet "$2" --devices "$devices" --rows "$rows" --workers 2 --body-lines 10000 --pool 4GiB \
        --server-pid "$server" --json >"$report" || die "the load on $3 failed: $(tail -n 3 "$log")"
    loaded=$(cpu_of "$server")
    "settle_$3" "$data"
    settled=$(cpu_of "$server")
    sync -f "$data" # else blocks may not be counted that are yet to be allocated
    disk=$(du -s --block-size=1 "$data" | cut -f1)
    stop_server
    rm -rf "$data"
    awk -v OFS=' ' -v fleet="$2" -v engine="$3" \
        -v rate="$(number "$report" rows_per_second)" -v rows="$(number "$report" rows)" -v vals="$(number "$report" values)" \
        -v failed="$(number "$report" failed_rows)" -v loader="$(number "$report" loader_cpu_seconds)" \
        -v peak="$(number "$report" peak_rss_bytes)" -v anon="$(number "$report" peak_anon_bytes)" \
        -v p99="$(number "$report" p99_ms)" -v cpu="$(awk "BEGIN { print $loaded - $begun }")" \
        -v whole="$(awk "BEGIN { print $settled - $begun }")" -v disk="$disk" 'BEGIN {
            print fleet, engine, rate, rows / cpu, rows / whole, peak / 1048576, anon / 1048576, disk / vals, p99, 100 * loader / cpu, failed
        }' | tee -a "$work/results" |
        awk '{ printf "  %-6s %-9s %9.0f rows/s %9.0f rows/CPU s %6.0f MiB %6.3f bytes/value\n", $1, $2, $3, $4, $6, $8 }' >&2
}

# median FLEET ENGINE COLUMN
median() {
    awk -v f="$1" -v e="$2" -v c="$3" '$1 == f && $2 == e { print $c }' "$work/results" | sort -g |
        awk '{ v[NR] = $1 } END { if (NR == 0) print "nan"; else if (NR % 2) print v[(NR + 1) / 2]; else print (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

for e in $engines; do
    case $e in
        victoria) install_peer victoria-metrics victoria-metrics ;;
        influx) install_peer influxd influxdb ;;
    esac
done
if [[ -z ${VARVE:-} ]]; then
    mkdir -p bin
    go build -o bin/varve ./cmd/varve
fi
[[ -x $varve ]] || die "$varve is not there"

say "$rounds rounds, $values M values of $devices devices a load, $(nproc) CPUs, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)"
for round in $(seq "$rounds"); do
    say "round $round"
    for f in $fleets; do
        for e in $engines; do
            measure "$round" "$f" "$e"
        done
    done
done

for f in $fleets; do
    printf '\n%s fleet, medians of %s\n' "$f" "$rounds"
    printf '%-10s %10s %12s %12s %9s %9s %12s %9s %8s %7s\n' engine rows/s rows/CPU-s settled/CPU-s 'peak MiB' 'anon MiB' bytes/value 'p99 ms' 'loader%' failed
    for e in $engines; do
        printf '%-10s %10.0f %12.0f %12.0f %9.0f %9.0f %12.3f %9.1f %8.1f %7.0f\n' "$e" \
            "$(median "$f" "$e" 3)" "$(median "$f" "$e" 4)" "$(median "$f" "$e" 5)" "$(median "$f" "$e" 6)" "$(median "$f" "$e" 7)" \
            "$(median "$f" "$e" 8)" "$(median "$f" "$e" 9)" "$(median "$f" "$e" 10)" "$(median "$f" "$e" 11)"
    done
    if [[ " $engines " == *" varve "* && " $engines " == *" victoria "* ]]; then
        printf 'varve/victoria '
        for c in "3 rows/s" "4 rows/CPU-s" "6 peak" "8 bytes/value"; do
            awk -v a="$(median "$f" varve "${c%% *}")" -v b="$(median "$f" victoria "${c%% *}")" -v n="${c#* }" \
                'BEGIN { printf " %s %.2f×", n, (b > 0 ? a / b : 0) }'
        done
        printf '\n'
    fi
done
printf '\nrows/CPU-s: rows by seconds of server CPU during the load; settled/CPU-s: settling included.\n'
printf 'peak MiB: most resident memory, mapped files included; anon MiB: without them. bytes/value: blocks of the whole data folder, settled.\n'
