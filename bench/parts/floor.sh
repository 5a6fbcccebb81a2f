# floor [SECONDS]: the whole against its parts, and against the program in
# SAGAHOST_BENCH_BEFORE in turn, if there is one.
seconds=${1:-60}

# One orchestrator: `against_floor TITLE MANIFEST NAME [ARGUMENT ...]`.
against_floor() {
    local title=$1 manifest=$2 before=()
    shift 2
    echo "== $title"
    shop now
    serve now "$manifest"
    settle now
    if [ -n "${SAGAHOST_BENCH_BEFORE:-}" ]; then
        # Twice the time, as each has the half of it.
        program=$(realpath "$SAGAHOST_BENCH_BEFORE") serve before "$manifest"
        settle before
        before=(--against "${url[before]}")
    fi
    show now "$@" --config "$work/$manifest.toml" --functions "$work/functions" \
        --data "$work/raw" --in-flight 64 --floor "${before[@]}" \
        --duration $((seconds * (${#before[@]} == 0 ? 1 : 2)))
    aim "share of the floor" "$(quotient "$(value .shareOfFloor)" 1)" "at least 0.60"
    aim "CPU of the server, us a saga" "$(rounded "$(value .whole.serverCpuUs)")" \
        "at most 150; the parts: $(rounded "$(value .floor.allCpuUs)")"
    stop now
    if [ ${#before[@]} -gt 0 ]; then
        aim "rate, after by before" "$(quotient "$(value .against.ratio)" 1)" "more than 1"
        stop before
    fi
    rm -rf "$work/now" "$work/before"
}
against_floor "OrderSaga, 64 in flight, $seconds s: activities with effects" shop OrderSaga
against_floor "FanOut of 2, 64 in flight, $seconds s: activities without effects" shop \
    FanOut --input '{"count":2}'
