# cores [SECONDS]: the rate on one core and on two, each time with host and load on
# the same ones.
seconds=${1:-10}
command -v taskset >/dev/null || { echo "cores needs taskset" >&2 && exit 2; }
[ "$(nproc)" -ge 2 ] || { echo "cores needs two cores" >&2 && exit 2; }
echo "== cores, OrderSaga, 64 in flight"
rates=
# There and back again, so that what changes with time is in neither's favour.
for cores in 0 0,1 0,1 0; do
    on=(taskset -c "$cores")
    serve now shop
    settle now
    load now OrderSaga --config "$work/shop.toml" --in-flight 64 --duration "$seconds"
    read -r rate cpu < <(value '.whole | "\(.sagasPerS) \(.serverCpuUs)"')
    printf '  cores %-4s %8.0f sagas/s, CPU %.0f us a saga\n' "$cores" "$rate" "$cpu"
    rates="$rates $rate"
    stop now
    rm -rf "$work/now"
done
on=()
awk '{ printf "  two cores against one: %.2f (at most 2)\n", ($2 + $3) / ($1 + $4) }' <<<"$rates"
