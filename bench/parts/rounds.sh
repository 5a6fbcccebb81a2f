# rounds [ROUNDS]: what one orchestration costs that has gone on for so many rounds,
# against what it cost in the beginning.
rounds=${1:-100000}
edge=1000
if [ "$rounds" -lt $((4 * edge)) ]; then
    echo "there have to be at least $((4 * edge)) rounds" >&2
    exit 2
fi
echo "== continue-as-new, the last $edge of $rounds rounds against the first $edge: flat is a ratio of 1"
with_component test-guests
: >"$work/bare.toml"
serve eternal bare
url_of=${url[eternal]}/$df
curl -sf -o /dev/null -H 'content-type: application/json' -d "{\"left\":$edge}" \
    "$url_of/orchestrators/Eternal/warm-up?timeout=120&pollingInterval=1"
# When it is, in microseconds, and how many rounds are left.
look() {
    local status
    status=$(curl -sf "$url_of/instances/eternal")
    at=${EPOCHREALTIME/./}
    case $status in
        *'"runtimeStatus":"Running"'* | *'"runtimeStatus":"Pending"'* | *'"runtimeStatus":"Completed"'*) ;;
        *) echo "it does not run: $status" >&2 && return 1 ;;
    esac
    left=${status#*\"left\":}
    left=${left%%[!0-9]*}
}
# KiB resident, and bytes of the database.
weigh() {
    memory=$(awk '/^VmRSS:/ { print $2 }' "/proc/${pid[eternal]}/status")
    database=$(stat -c %s "$work"/eternal/sagahost.db* | awk '{ n += $1 } END { print n }')
}
begun=${EPOCHREALTIME/./}
curl -sf -o /dev/null -H 'content-type: application/json' -d "{\"left\":$rounds}" \
    "$url_of/orchestrators/Eternal/eternal"
look
while [ "$left" -gt $((rounds - edge)) ]; do
    sleep 0.02
    look
done
weigh
first_us=$((at - begun)) first_rounds=$((rounds - left))
first_memory=$memory first_database=$database
while [ "$left" -gt "$edge" ]; do
    # Rarely while there is time: who asks takes time of the host's.
    if [ "$left" -gt $((5 * edge)) ]; then sleep 0.5; else sleep 0.02; fi
    look
done
weigh
since=$at from=$left last_memory=$memory last_database=$database
# The last look while it runs; or, where it ends before, the first one after
# that.
until=$at to=$left
while [ "$left" -gt 0 ]; do
    sleep 0.02
    look
    if [ "$left" -gt 0 ] || [ "$to" -eq "$from" ]; then until=$at to=$left; fi
done
if [ "$from" -eq "$to" ]; then
    echo "the last rounds were over before they could be measured" >&2
    exit 1
fi
awk -v a="$first_us" -v an="$first_rounds" -v b="$((until - since))" -v bn="$((from - to))" \
    -v am="$first_memory" -v bm="$last_memory" -v ad="$first_database" -v bd="$last_database" \
    'BEGIN {
        a /= an * 1000; b /= bn * 1000
        printf "  time of a round        %.3f ms, then %.3f ms: %.2f\n", a, b, b / a
        printf "  resident memory        %.1f MiB, then %.1f MiB: %.2f\n", am / 1024, bm / 1024, bm / am
        printf "  database and its log   %.2f MiB, then %.2f MiB: %.2f\n", ad / 1048576, bd / 1048576, bd / ad
    }'
