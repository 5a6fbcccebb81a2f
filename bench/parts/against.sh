# against PROGRAM [SECONDS]: this program and another one in turn, on data of their
# own: OrderSaga, sagas without effects, and one at a time.
other=$(realpath "${1:?give the program to measure against}")
seconds=${2:-60}
shop now
shop other
serve now now
program=$other serve other other
settle now
settle other
echo "== this program (first) against $other"
while read -r flying saga input; do
    load now "$saga" --input "$input" --config "$work/shop.toml" --in-flight "$flying" \
        --duration "$seconds" --pairs 7 --against "${url[other]}"
    read -r rate cpu p50 p50o < <(
        value '"\(.against.ratio) \(.against.cpuRatio) \(.whole.latencyMs.p50) \(.against.other.latencyMs.p50)"'
    )
    printf '  %-10s %4d in flight   rate %.2f   CPU a saga %.2f   p50 %.2f ms by %.2f ms: %s\n' \
        "$saga" "$flying" "$rate" "$cpu" "$p50" "$p50o" "$(quotient "$p50" "$p50o")"
done <<END
64 OrderSaga $(sed -n "s/^OrderSaga = '\(.*\)'/\1/p" sagahost.toml)
64 FanOut {"count":2}
1 OrderSaga $(sed -n "s/^OrderSaga = '\(.*\)'/\1/p" sagahost.toml)
1 FanOut {"count":2}
END
