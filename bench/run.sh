#!/usr/bin/env bash
# Measures a release build on this machine. Every figure that is worth
# comparing is a count, or a ratio within this one run; see README.md.
#
#   bench/run.sh [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
port=${SAGAHOST_BENCH_PORT:-17230}
url=http://127.0.0.1:$port

cargo build --release --locked
sagahost=$PWD/target/release/sagahost
work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    wait || true
    rm -rf "$work"
}
trap finish EXIT

"$sagahost" build --functions "$work/functions"
sed "s#\.sagahost/shop#$work/shop#" sagahost.toml >"$work/sagahost.toml"
serve() {
    "$sagahost" serve --config "$work/sagahost.toml" --data "$work/data" \
        --functions "$work/functions" --listen "127.0.0.1:$port" >>"$work/log" 2>&1 &
    server=$!
    for _ in $(seq 600); do
        curl -sf "$url/readyz" >/dev/null && return
        sleep 0.1
    done
    cat "$work/log"
    exit 1
}
serve

echo "== the whole against its parts: raw store, raw wasm"
"$sagahost" bench "$url" OrderSaga --config "$work/sagahost.toml" --functions "$work/functions" \
    --data "$work/floor" --in-flight 64 --duration "$seconds" --floor
echo "== one saga at a time"
"$sagahost" bench "$url" OrderSaga --config "$work/sagahost.toml" --in-flight 1 --duration "$seconds"
echo "== a chain of 100 activities without effects"
"$sagahost" bench "$url" GreetingChain --chain 100 --in-flight 1 --duration "$seconds"

# The median of five: seconds from start to result.
fan_out() {
    for _ in 1 2 3 4 5; do
        curl -sf -o /dev/null -w '%{time_total}\n' -H 'content-type: application/json' \
            -d "{\"count\":$1}" \
            "$url/runtime/webhooks/durabletask/orchestrators/FanOut/fan-$1?timeout=120&pollingInterval=1"
    done | sort -n | sed -n 3p
}
# The median of five: seconds to replay the journal of the last one.
replay() {
    for _ in 1 2 3 4 5; do
        curl -sf -o /dev/null -w '%{time_total}\n' "$url/api/instances/fan-$1/replay"
    done | sort -n | sed -n 3p
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", b / a / 10 }'; }

echo "== fan-out: linear is a ratio of 1"
fan_out 100 >/dev/null
small=$(fan_out 1000)
large=$(fan_out 10000)
echo "  1,000 activities       $small s"
echo "  10,000 activities      $large s"
echo "  per activity, 10,000 against 1,000: $(ratio "$small" "$large")"

echo "== replay after a restart: linear is a ratio of 1"
kill "$server"
wait "$server" || true
serve
small=$(replay 1000)
large=$(replay 10000)
echo "  1,000 activities       $small s"
echo "  10,000 activities      $large s"
echo "  per activity, 10,000 against 1,000: $(ratio "$small" "$large")"

echo "== sagahost check: a saga of five and one of ten steps, each with its undo"
cargo build --quiet --locked --target wasm32-wasip2 --profile guest --target-dir target/guests -p test-sagas
check() {
    seq "$1" | sed 's/.*/"item &"/' | paste -sd, | sed 's/.*/[orchestrators.EachItem]\ninput = [&]/' >"$work/check.toml"
    "$sagahost" check EachItem target/guests/wasm32-wasip2/guest/test_sagas.wasm \
        --file "$work/check.toml" --json |
        awk -F'[:,]' '/"seconds": [0-9]+\./ { s = $2 } /"states": [0-9]+,$/ { n = $2 }
            END { printf "%d %.3f %.0f\n", n, s, n / s }'
}
read -r states5 seconds5 rate5 < <(check 5)
read -r states10 seconds10 rate10 < <(check 10)
echo "  5 steps                $states5 states in $seconds5 s, $rate5 a second"
echo "  10 steps               $states10 states in $seconds10 s, $rate10 a second"
echo "  states a second, 10 steps against 5: $(awk -v a="$rate5" -v b="$rate10" 'BEGIN { printf "%.2f", b / a }')"
