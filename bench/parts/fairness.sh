# fairness [SECONDS] [ACTIVITIES]: small sagas alone, and beside a large fan-out.
seconds=${1:-10}
activities=${2:-10000}
echo "== fairness: FanOut of 2, 4 in flight, alone and while one of $activities runs"
serve now shop
settle now
small() {
    load now FanOut --input '{"count":2}' --config "$work/shop.toml" --in-flight 4 --duration "$seconds"
    value '.whole | "\(.latencyMs.p50) \(.latencyMs.p99) \(.sagasPerS)"'
}
small >"$work/alone"
# One after the other, as long as it takes.
"$sagahost" bench "${url[now]}" FanOut --input "{\"count\":$activities}" --config "$work/shop.toml" \
    --in-flight 1 --warm-up 0 --duration $((seconds + 4)) --save "$work/large.json" >/dev/null 2>&1 &
large=$!
sleep 0.5
small >"$work/beside"
wait "$large"
read -r p50 p99 rate <"$work/alone"
read -r p50b p99b rateb <"$work/beside"
printf '  alone                              p50 %.2f ms, p99 %.2f ms, %.0f sagas/s\n' "$p50" "$p99" "$rate"
printf '  beside %-27s p50 %.2f ms, p99 %.2f ms, %.0f sagas/s\n' \
    "$(jq -r '.whole.sagas' "$work/large.json") of the large" "$p50b" "$p99b" "$rateb"
row "p50, beside by alone" "$(quotient "$p50b" "$p50")"
row "p99, beside by alone" "$(quotient "$p99b" "$p99")"
