# in-flight [SECONDS] [NUMBER ...]: the rate against how many are in flight.
seconds=${1:-10}
shift || true
numbers=("$@")
[ ${#numbers[@]} -gt 0 ] || numbers=(1 8 64 512 4096)
echo "== in flight, OrderSaga; as a share of 64 in flight"
serve now shop
settle now
measure() {
    # Many take long to come round.
    load now OrderSaga --config "$work/shop.toml" --in-flight "$1" --duration $((seconds + $1 / 128))
    value '.whole | "\(.sagasPerS) \(.latencyMs.p50) \(.latencyMs.p99) \(.serverCpuUs) \(.refusedShare)"'
}
measure 64 >"$work/64"
read -r rate64 median64 _ cpu64 _ <"$work/64"
printf '  %8s %10s %6s %9s %6s %9s %8s %6s %8s\n' flying sagas/s ratio 'p50 ms' ratio 'p99 ms' 'CPU us' ratio refused
for n in "${numbers[@]}"; do
    if [ "$n" = 64 ]; then cp "$work/64" "$work/now.figures"; else measure "$n" >"$work/now.figures"; fi
    read -r rate median last cpu refused <"$work/now.figures"
    printf '  %8d %10.0f %6s %9.2f %6s %9.2f %8.0f %6s %8.3f\n' "$n" "$rate" "$(quotient "$rate" "$rate64")" \
        "$median" "$(quotient "$median" "$median64")" "$last" "$cpu" "$(quotient "$cpu" "$cpu64")" "$refused"
done
