# What the parts share. It is read by run.sh, in the root of the repository.

port=${SAGAHOST_BENCH_PORT:-17230}
df=runtime/webhooks/durabletask
# Where each host is, by its name, and its process.
declare -A url pid
# What stands before a host's command line, and before the load's.
on=()

for tool in jq curl awk; do
    command -v "$tool" >/dev/null || { echo "bench/run.sh needs $tool" >&2 && exit 2; }
done
if [ -n "${SAGAHOST_BENCH_BINARY:-}" ]; then
    sagahost=$(realpath "$SAGAHOST_BENCH_BINARY")
else
    cargo build --profile dist --locked
    sagahost=$PWD/target/dist/sagahost
fi
# The host and the load both have a file open for each connection.
ulimit -n "$(ulimit -Hn)"
functions=target/guests/wasm32-wasip2/guest

prepare() {
    work=$(mktemp -d -p "${SAGAHOST_BENCH_DIR:-/tmp}" sagahost-bench.XXXXXX)
    trap finish EXIT
    "$sagahost" build --functions "$work/functions" >"$work/build" 2>&1 || {
        cat "$work/build"
        exit 1
    }
    # All that it names is made below the folder it is in.
    cp sagahost.toml "$work/shop.toml"
    cp bench/effects.toml bench/payload.toml "$work/"
}

finish() {
    local name
    for name in "${!pid[@]}"; do kill "${pid[$name]}" 2>/dev/null || true; done
    wait || true
    rm -rf "$work"
}

# Adds the component of a package for tests to the functions.
with_component() {
    cargo build --quiet --locked --target wasm32-wasip2 --profile guest \
        --target-dir target/guests -p "$1"
    cp "$functions/${1//-/_}.wasm" "$work/functions/"
}

# A manifest like the sample's, with a shop of its own: `shop NAME`.
shop() {
    sed "s#\.sagahost/shop#.sagahost/shop-$1#" "$work/shop.toml" >"$work/$1.toml"
}

# Starts a host: `serve NAME MANIFEST [ARGUMENT ...]`. What it keeps is in
# $work/NAME, and is there again when it is started again.
serve() {
    local name=$1 manifest=$2 program=${program:-$sagahost}
    shift 2
    if [ -z "${url[$name]:-}" ]; then
        url[$name]=http://127.0.0.1:$port
        port=$((port + 1))
    fi
    "${on[@]}" "$program" serve --listen "${url[$name]#http://}" --config "$work/$manifest.toml" \
        --data "$work/$name" --functions "$work/functions" "$@" >>"$work/$name.log" 2>&1 &
    pid[$name]=$!
    ready "$name"
}

# Waits until a host serves.
ready() {
    local _
    for _ in $(seq 6000); do
        curl -sf -o /dev/null "${url[$1]}/readyz" && return
        kill -0 "${pid[$1]}" 2>/dev/null || break
        sleep 0.01
    done
    echo "the host does not begin to serve" >&2
    cat "$work/$1.log" >&2
    exit 1
}

# Loads a host until its log has the size that it keeps. Until then each flush tells
# the file system of a file that has grown, too, which can take many times as long.
settle() {
    local before=-1 now _
    for _ in $(seq 20); do
        now=$(stat -c %s "$work/$1/sagahost.db-wal")
        [ "$now" -gt "$before" ] || return 0
        before=$now
        load "$1" FanOut --input '{"count":2}' --in-flight 64 --warm-up 0 --duration 1
    done
}

stop() {
    kill "${2:--TERM}" "${pid[$1]}"
    wait "${pid[$1]}" 2>/dev/null || true
    unset "pid[$1]"
}

# `load NAME ORCHESTRATOR [ARGUMENT ...]` loads a host, and keeps the report for
# `value`. Nothing is printed.
load() {
    local name=$1
    shift
    "${on[@]}" "$sagahost" bench "${url[$name]}" "$@" --json >"$work/report.json" || {
        echo "bench ${url[$name]} $*" >&2
        cat "$work/report.json" >&2
        exit 1
    }
}
# The same, with the report for people.
show() {
    local name=$1
    shift
    "${on[@]}" "$sagahost" bench "${url[$name]}" "$@" --save "$work/report.json" 2>/dev/null
}
# A figure of the last report: `value .whole.sagasPerS`.
value() { jq -r "$1 // \"nan\"" "$work/report.json"; }

# A figure, and one beside what it should be: `row FIGURE VALUE`, `aim FIGURE VALUE AIM`.
row() { printf '  %-34s %s\n' "$1" "$2"; }
aim() { printf '  %-34s %s (aim: %s)\n' "$1" "$2" "$3"; }
quotient() { awk -v a="$1" -v b="$2" 'BEGIN { if (b + 0 == 0) print "nan"; else printf "%.2f", a / b }'; }
rounded() { awk -v a="$1" 'BEGIN { printf "%.0f", a }'; }
# The one in the middle, of a number in each line.
median() { sort -g | awk '{ n[NR] = $1 } END { print n[int((NR + 1) / 2)] }'; }

# Milliseconds that a request takes: the median of so many. Those that are not
# answered with 2xx are told.
asked() {
    local times=$1 _
    shift
    for _ in $(seq "$times"); do
        curl -s -o /dev/null -w '%{time_total} %{http_code}\n' "$@" || true
    done >"$work/asked"
    awk -v what="${*: -1}" '$2 !~ /^2/ { bad++ } END { if (bad) print bad " of " NR " were refused: " what >"/dev/stderr" }' "$work/asked"
    awk '{ print $1 }' "$work/asked" | median | awk '{ printf "%.2f", $1 * 1000 }'
}
