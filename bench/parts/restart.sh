# restart [WAITING] [RUNNING]: how long a host that was killed takes to serve again.
waiting=${1:-100000}
running=${2:-1000}
with_component test-guests
serve now effects
starts() { load now "$@" --config "$work/effects.toml" --no-wait --warm-up 0 --duration 3600; }
echo "== restart after kill -9: $waiting wait (half of them for timers, half for events), $running run"
starts Reminder --input '{"seconds":864000,"message":"wake up"}' --in-flight 32 --count $((waiting / 2))
starts Approval --input '{"timeoutSeconds":864000}' --in-flight 32 --count $((waiting - waiting / 2))
# Of those, as many have a place as there are; the others wait for one.
starts TestCallOne --input '{"activity":"TestSleep","input":{"ms":20000}}' --in-flight 32 --count "$running"
open=$(curl -sf "${url[now]}/admin/stats" | jq -r '"\(.started) started, \(.attemptsOpen) attempts open"')
stop now -KILL
begun=${EPOCHREALTIME/./}
serve now effects
ready=${EPOCHREALTIME/./}
curl -sf -o /dev/null -H 'content-type: application/json' -d '{"count":2}' \
    "${url[now]}/$df/orchestrators/FanOut?timeout=300&pollingInterval=1"
done=${EPOCHREALTIME/./}
echo "  when it was killed: $open"
awk -v a="$begun" -v b="$ready" -v c="$done" -v rss="$(awk '/^VmRSS:/ { print $2 }' "/proc/${pid[now]}/status")" 'BEGIN {
    printf "  from exec until it serves           %.0f ms\n", (b - a) / 1000
    printf "  from exec to the first saga'"'"'s end   %.0f ms\n", (c - a) / 1000
    printf "  resident memory after that          %.1f MiB\n", rss / 1024
}'
