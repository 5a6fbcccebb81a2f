# stored [SECONDS] [MOST]: a host with many stored instances against one with none,
# in turn.
seconds=${1:-30}
most=${2:-1000000}
echo "== stored instances: the rate and the CPU of a saga against those with none"
for instances in 0 10000 100000 1000000; do
    [ "$instances" -le "$most" ] || continue
    shop none
    shop many
    if [ "$instances" -gt 0 ]; then
        cargo run --quiet --profile dist --locked -p sagahost-store --example fill -- \
            "$work/many" "$instances" >/dev/null
    fi
    serve none none
    serve many many
    settle none
    settle many
    load many OrderSaga --config "$work/shop.toml" --in-flight 64 --duration "$seconds" \
        --against "${url[none]}"
    read -r rate cpu < <(value '"\(.against.ratio) \(.against.cpuRatio)"')
    aim "$instances stored" "$(printf 'rate %.2f, CPU %.2f' "$rate" "$cpu")" \
        "rate at least 0.83, CPU at most 1.2"
    stop many
    stop none
    rm -rf "$work/many" "$work/none"
done
