# overload [SECONDS]: ten times the connections that the peak needs, and then as many as
# the host takes, none of which waits as it is told.
seconds=${1:-20}
serve now shop
settle now
bench=(OrderSaga --config "$work/shop.toml")
echo "== overload"
peak=0
flying=64
for n in 32 64 128 256; do
    load now "${bench[@]}" --in-flight "$n" --duration "$(awk -v s="$seconds" 'BEGIN { print s / 4 }')"
    rate=$(value .whole.sagasPerS)
    if awk -v a="$rate" -v b="$peak" 'BEGIN { exit !(a > b) }'; then peak=$rate flying=$n; fi
done
instance=$(curl -sf "${url[now]}/$df/instances?top=1&runtimeStatus=Completed" | jq -r '.[0].instanceId')
status=${url[now]}/$df/instances/$instance
overview=${url[now]}/api/overview
idle_status=$(asked 51 "$status")
idle_overview=$(asked 51 "$overview")
many=$((flying * 10 > 4000 ? 4000 : flying * 10))
load now "${bench[@]}" --in-flight "$many" --duration "$seconds" --warm-up 2 &
loading=$!
sleep $((2 + 1))
busy_status=$(asked 51 "$status")
busy_overview=$(asked 51 "$overview")
kill -0 "$loading" 2>/dev/null || echo "  the load ended before all was asked: give more seconds"
wait "$loading"
read -r rate last refused silent < <(
    value '.whole | "\(.sagasPerS) \(.latencyMs.p99) \(.refusedShare) \(.refusedWithoutRetryAfter)"'
)
row "peak, sagas/s" "$(rounded "$peak"), at $flying in flight"
row "rate at $many in flight, of the peak" "$(quotient "$rate" "$peak")"
row "p99 of those accepted, ms" "$(rounded "$last")"
row "refused, as a share of starts" "$(printf %.3f "$refused")"
aim "refused without Retry-After" "$silent" "0"
row "a status, ms: idle, then loaded" "$idle_status, $busy_status"
row "the overview, ms: idle, then loaded" "$idle_overview, $busy_overview"
# A few are left for whoever asks for something else.
load now "${bench[@]}" --in-flight 4000 --duration "$seconds" --warm-up 2
read -r rate last refused silent < <(
    value '.whole | "\(.sagasPerS) \(.latencyMs.p99) \(.refusedShare) \(.refusedWithoutRetryAfter)"'
)
row "rate at 4,000 in flight, of the peak" "$(quotient "$rate" "$peak")"
row "p99 of those accepted, ms" "$(rounded "$last")"
row "refused, as a share of starts" "$(printf %.3f "$refused")"
aim "refused without Retry-After" "$silent" "0"
