# idle [SECONDS]: the memory and the CPU of a host that has nothing to do: a new one,
# and one that had much to do.
seconds=${1:-10}
serve now shop
# The first start compiles the components, which leaves memory behind.
stop now
serve now shop
weigh() { awk '/^VmRSS:/ { all = $2 } /^RssAnon:/ { own = $2 }
    END { printf "%.1f MiB resident, %.1f MiB of it its own", all / 1024, own / 1024 }' "/proc/${pid[now]}/status"; }
# Ticks of 10 ms.
ticks() { sed 's/.*) //' "/proc/${pid[now]}/stat" | awk '{ print $12 + $13 }'; }
at_rest() {
    local before
    before=$(ticks)
    sleep 5
    awk -v t=$(($(ticks) - before)) 'BEGIN { printf "%.1f ms of CPU a second", t * 10 / 5 }'
}
echo "== idle"
echo "  new                                $(weigh), $(at_rest)"
load now OrderSaga --config "$work/shop.toml" --in-flight 512 --duration "$seconds"
echo "  after a peak                       $(weigh), $(at_rest)"
