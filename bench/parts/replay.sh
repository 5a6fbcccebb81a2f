# replay: what it costs to rebuild an orchestration from its journal, against its
# length.
serve now shop
for count in 1000 10000; do
    curl -sf -o /dev/null -H 'content-type: application/json' -d "{\"count\":$count}" \
        "${url[now]}/$df/orchestrators/FanOut/fan-$count?timeout=120&pollingInterval=1"
done
stop now
serve now shop
echo "== replay after a restart: linear is a ratio of 1"
small=$(asked 5 "${url[now]}/api/instances/fan-1000/replay")
large=$(asked 5 "${url[now]}/api/instances/fan-10000/replay")
echo "  1,000 activities       $small ms"
echo "  10,000 activities      $large ms"
aim "per activity, 10,000 against 1,000" "$(quotient "$(quotient "$large" 10)" "$small")" "about 1"
