# listing [INSTANCES] [SECONDS]: how long the list of a dashboard takes over many
# instances, and what a client that never stops asking for it costs the sagas.
instances=${1:-1000000}
seconds=${2:-6}
echo "== listing, $instances instances: the first answer, in ms, and whether it was a full page"
cargo run --quiet --profile dist --locked -p sagahost-store --example fill -- "$work/listing" "$instances"
serve listing shop
list=${url[listing]}/api/instances
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
    load listing OrderSaga --config "$work/shop.toml" --in-flight 64 --duration "$seconds"
    value .whole.sagasPerS
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
