# alone [SECONDS]: what a lone saga waits for.
seconds=${1:-10}
serve now shop
settle now
for saga in OrderSaga FanOut; do
    input=()
    if [ "$saga" = FanOut ]; then
        echo "== one saga at a time, of two activities without effects"
        input=(--input '{"count":2}')
    else
        echo "== one saga at a time, of two activities with effects"
    fi
    show now "$saga" "${input[@]}" --config "$work/shop.toml" --functions "$work/functions" \
        --data "$work/raw" --in-flight 1 --duration "$seconds" --floor
    aim "median less $(value .alone.commits) commits, us" "$(rounded "$(value .alone.beyondUs)")" \
        "at most 500, of $([ "$saga" = FanOut ] && echo 1 commit || echo 2 commits)"
done
