# fan-out: the cost of an activity must not grow with their number.
serve now shop
fan_out() {
    asked 5 -H 'content-type: application/json' -d "{\"count\":$1}" \
        "${url[now]}/$df/orchestrators/FanOut?timeout=120&pollingInterval=1"
}
echo "== fan-out: linear is a ratio of 1"
fan_out 100 >/dev/null
small=$(fan_out 1000)
large=$(fan_out 10000)
echo "  1,000 activities       $small ms"
echo "  10,000 activities      $large ms"
aim "per activity, 10,000 against 1,000" "$(quotient "$(quotient "$large" 10)" "$small")" "about 1"
