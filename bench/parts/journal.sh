# journal [SECONDS] [MOST]: what an event costs, against how many events a journal has.
seconds=${1:-5}
most=${2:-100000}
# A chain or a fan-out of n steps has two events for each, and two more.
row() {
    local shape=$1 events=$2 manifest=$3 steps=$(($2 / 2 - 1)) input
    if [ "$shape" = chain ]; then
        input=(GreetingChain --chain "$steps")
    else
        input=(FanOut --input "{\"count\":$steps}")
    fi
    # A long one is run once, a short one as often as there is time.
    load "$manifest" "${input[@]}" --config "$work/$manifest.toml" --in-flight 1 --warm-up 0.2 \
        --duration "$seconds"
    value '.whole | "\(.latencyMs.p50) \(.serverCpuUs)"'
}
# `shop` grants these activities nothing, `effects` something.
for manifest in shop effects; do
    serve "$manifest" "$manifest"
    settle "$manifest"
    for shape in chain fan-out; do
        echo "== length of the journal, $shape, activities $([ $manifest = shop ] && echo without || echo with) effects"
        row $shape 100 $manifest >"$work/100"
        read -r time100 cpu100 <"$work/100"
        for events in 10 100 1000 10000 100000; do
            [ "$events" -le "$most" ] || continue
            if [ "$events" = 100 ]; then cp "$work/100" "$work/figures"; else row $shape "$events" $manifest >"$work/figures"; fi
            read -r time cpu <"$work/figures"
            awk -v n="$events" -v t="$time" -v c="$cpu" -v t100="$time100" -v c100="$cpu100" 'BEGIN {
                printf "  %7d events  %10.2f us an event: %.2f of 100;  CPU %9.2f us: %.2f of 100%s\n", n, \
                    t * 1000 / n, t / n / (t100 / 100), c / n, c / n / (c100 / 100), \
                    n == 10000 ? " (aim: at most 1.2)" : ""
            }'
        done
    done
    stop "$manifest"
done
