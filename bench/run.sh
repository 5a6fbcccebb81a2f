#!/usr/bin/env bash
# Measures a release build on this machine. Every figure that is worth
# comparing is a count, or a ratio within this one run; see README.md.
#
#   bench/run.sh [SECONDS]
#   bench/run.sh rounds [ROUNDS]
#   bench/run.sh listing [INSTANCES]
set -euo pipefail
cd "$(dirname "$0")/.."
only=
rounds=100000
if [ "${1:-}" = rounds ]; then
    only=rounds
    rounds=${2:-$rounds}
fi
instances=1000000
if [ "${1:-}" = listing ]; then
    only=listing
    instances=${2:-$instances}
    shift $#
fi
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

# Starts a host, with these arguments.
start() {
    "$sagahost" serve --listen "127.0.0.1:$port" "$@" >>"$work/log" 2>&1 &
    server=$!
    for _ in $(seq 600); do
        curl -sf "$url/readyz" >/dev/null && return
        sleep 0.1
    done
    cat "$work/log"
    exit 1
}
stop() {
    kill "$server"
    wait "$server" || true
    server=
}
test_component() {
    cargo build --quiet --locked --target wasm32-wasip2 --profile guest --target-dir target/guests -p "$1"
}

# What one orchestration costs that has gone on for so many rounds, against what
# it cost in the beginning.
eternal() {
    local edge=1000 url_of="$url/runtime/webhooks/durabletask"
    if [ "$rounds" -lt $((4 * edge)) ]; then
        echo "there have to be at least $((4 * edge)) rounds" >&2
        exit 2
    fi
    echo "== continue-as-new, the last $edge of $rounds rounds against the first $edge: flat is a ratio of 1"
    test_component test-guests
    mkdir "$work/eternal" "$work/eternal/functions"
    cp target/guests/wasm32-wasip2/guest/test_guests.wasm "$work/eternal/functions/"
    : >"$work/eternal/sagahost.toml"
    start --config "$work/eternal/sagahost.toml" --data "$work/eternal/data" \
        --functions "$work/eternal/functions"
    curl -sf -o /dev/null -H 'content-type: application/json' -d "{\"left\":$edge}" \
        "$url_of/orchestrators/Eternal/warm-up?timeout=120&pollingInterval=1"
    # When it is, in microseconds, and how many rounds are left.
    look() {
        local status
        status=$(curl -sf "$url_of/instances/eternal")
        at=${EPOCHREALTIME/./}
        case $status in
            *'"runtimeStatus":"Running"'* | *'"runtimeStatus":"Pending"'* | *'"runtimeStatus":"Completed"'*) ;;
            *) echo "it does not run: $status" >&2 && return 1 ;;
        esac
        left=${status#*\"left\":}
        left=${left%%[!0-9]*}
    }
    # KiB resident, and bytes of the database.
    weigh() {
        memory=$(awk '/^VmRSS:/ { print $2 }' "/proc/$server/status")
        database=$(stat -c %s "$work"/eternal/data/sagahost.db* | awk '{ n += $1 } END { print n }')
    }
    local at left memory database begun=${EPOCHREALTIME/./}
    curl -sf -o /dev/null -H 'content-type: application/json' -d "{\"left\":$rounds}" \
        "$url_of/orchestrators/Eternal/eternal"
    look
    while [ "$left" -gt $((rounds - edge)) ]; do
        sleep 0.02
        look
    done
    weigh
    local first_us=$((at - begun)) first_rounds=$((rounds - left))
    local first_memory=$memory first_database=$database
    while [ "$left" -gt "$edge" ]; do
        # Rarely while there is time: who asks takes time of the host's.
        if [ "$left" -gt $((5 * edge)) ]; then sleep 0.5; else sleep 0.02; fi
        look
    done
    weigh
    local since=$at from=$left last_memory=$memory last_database=$database
    # The last look while it runs; or, where it ends before, the first one after
    # that.
    local until=$at to=$left
    while [ "$left" -gt 0 ]; do
        sleep 0.02
        look
        if [ "$left" -gt 0 ] || [ "$to" -eq "$from" ]; then until=$at to=$left; fi
    done
    if [ "$from" -eq "$to" ]; then
        echo "the last rounds were over before they could be measured" >&2
        exit 1
    fi
    awk -v a="$first_us" -v an="$first_rounds" -v b="$((until - since))" -v bn="$((from - to))" \
        -v am="$first_memory" -v bm="$last_memory" -v ad="$first_database" -v bd="$last_database" \
        'BEGIN {
            a /= an * 1000; b /= bn * 1000
            printf "  time of a round        %.3f ms, then %.3f ms: %.2f\n", a, b, b / a
            printf "  resident memory        %.1f MiB, then %.1f MiB: %.2f\n", am / 1024, bm / 1024, bm / am
            printf "  database and its log   %.2f MiB, then %.2f MiB: %.2f\n", ad / 1048576, bd / 1048576, bd / ad
        }'
    stop
}
if [ "$only" = rounds ]; then
    eternal
    exit
fi

# How long the list of a dashboard takes over many instances, and what a client
# that never stops asking for it costs the sagas.
listing() {
    echo "== listing, $instances instances: the first answer, in ms, and whether it was a full page"
    cargo run --quiet --release --locked -p sagahost-store --example fill -- "$work/listing" "$instances"
    start --config "$work/sagahost.toml" --data "$work/listing" --functions "$work/functions"
    local list="$url/api/instances" sort what query
    # The median of five.
    first() {
        for _ in 1 2 3 4 5; do
            curl -sf -o "$work/page" -w '%{time_total}\n' "$1"
        done | sort -n | awk 'NR == 3 { printf "%7.1f", $1 * 1000 }'
        grep -q '"complete":true' "$work/page" && printf ' full  ' || printf ' part  '
    }
    printf '  %-22s %-14s %-14s %s\n' '' 'by creation' 'by change' histogram
    while read -r query what; do
        printf '  %-22s' "$what"
        first "$list?$query"
        first "$list?sort=updated&$query"
        first "$list/histogram?$query"
        echo
    done <<END
top=100 all
status=Completed completed
status=Running running
status=Failed failed
status=Terminated terminated
saga=stuck stuck
saga=compensated compensated
name=OrderSaga name, of most
name=Saga7 name, of some
name=Rare name, of few
name=OrderSaga&status=Failed name and status
tag=shop:7 tag
idPrefix=order-1 prefix, of many
idPrefix=order-1234 prefix, of few
search=order search, in many
search=er-777 search, in few
search=nowhere search, in none
END
    # Follows a question to its end: answers, and seconds.
    whole() {
        local token='' answers=0 begun=${EPOCHREALTIME/./}
        while [ "$token" != null ]; do
            curl -sf -o "$work/page" "$list$1&token=$token"
            token=$(grep -o '"next":[^,}]*' "$work/page" | tail -n 1 | sed 's/"next"://; s/"//g')
            answers=$((answers + 1))
        done
        awk -v n="$answers" -v t="$((${EPOCHREALTIME/./} - begun))" -v all="$instances" \
            'BEGIN { printf "%d answers, %.2f s, %.0f instances a second\n", n, t / 1e6, all * 1e6 / t }'
    }
    echo "  a search that finds nothing: $(whole '?search=nowhere')"
    echo "  the histogram of all:        $(whole '/histogram?buckets=60')"

    rate() {
        "$sagahost" bench "$url" OrderSaga --config "$work/sagahost.toml" --in-flight 64 \
            --duration "$seconds" --json | awk -F'[:,]' '/"sagasPerS"/ { print $2 }'
    }
    # One connection, always waiting for an answer; it takes what CPU is left.
    beside() {
        nice -n 19 curl -sf -o /dev/null "$list$1&n=[1-100000000]" &
        local client=$!
        rate
        kill "$client"
        wait "$client" 2>/dev/null || true
    }
    echo "== sagas while a client lists as fast as it can, as a share of the rate without it"
    # There and back again, so that what changes with time is in neither's favour.
    rate >/dev/null
    for query in '?search=nowhere' '?top=100' '/histogram?buckets=60'; do
        for _ in 1 2 3; do
            echo "$(rate) $(beside "$query") $(beside "$query") $(rate)"
        done | awk '{ print ($2 + $3) / ($1 + $4), ($1 + $4) / 2, ($2 + $3) / 2 }' | sort -n |
            awk -v what="$query" 'NR == 2 { printf "  %-24s %.2f (%.0f, then %.0f sagas/s)\n", what, $1, $2, $3 }'
    done
    stop
}

"$sagahost" build --functions "$work/functions"
sed "s#\.sagahost/shop#$work/shop#" sagahost.toml >"$work/sagahost.toml"
if [ "$only" = listing ]; then
    seconds=${1:-6}
    listing
    exit
fi
serve() {
    start --config "$work/sagahost.toml" --data "$work/data" --functions "$work/functions"
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
stop
serve
small=$(replay 1000)
large=$(replay 10000)
echo "  1,000 activities       $small s"
echo "  10,000 activities      $large s"
echo "  per activity, 10,000 against 1,000: $(ratio "$small" "$large")"

echo "== sagahost check: a saga of five and one of ten steps, each with its undo"
test_component test-sagas
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

stop
eternal
listing
