# payload [SECONDS] [IN-FLIGHT]: what a saga costs, against the size of its input,
# which an activity gives back and which is its result.
seconds=${1:-5}
flying=${2:-8}
with_component test-guests
serve now payload
settle now
echo "== payload, $flying in flight, against 100 B"
for bytes in 100 1000 10000 100000 1048576; do
    head -c "$bytes" /dev/zero | tr '\0' x |
        awk '{ printf "{\"activity\":\"TestEcho\",\"input\":\"%s\"}", $0 }' >"$work/payload.json"
    load now TestCallOne --config "$work/payload.toml" --input "@$work/payload.json" \
        --in-flight "$flying" --duration "$seconds" --warm-up 1
    read -r rate median cpu < <(value '.whole | "\(.sagasPerS) \(.latencyMs.p50) \(.serverCpuUs)"')
    [ "$bytes" -gt 100 ] || { rate100=$rate cpu100=$cpu; }
    awk -v n="$bytes" -v r="$rate" -v r1="$rate100" -v m="$median" -v c="$cpu" -v c1="$cpu100" 'BEGIN {
        printf "  %8d B  %8.0f sagas/s: %.3f   p50 %9.2f ms   CPU %9.0f us: %7.2f", n, r, r / r1, m, c, c / c1
        if (n > 100) printf ", %.2f us a KiB more", (c - c1) / (n - 100) * 1024
        print ""
    }'
done
