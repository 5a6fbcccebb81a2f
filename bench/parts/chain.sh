# chain [SECONDS] [STEPS]: what one step costs.
seconds=${1:-10}
steps=${2:-100}
for manifest in shop effects; do
    if [ "$manifest" = shop ]; then
        echo "== a chain of $steps activities without effects"
        commits="1 commit in all"
    else
        echo "== a chain of $steps activities with effects"
        commits="1 commit a step"
    fi
    serve "$manifest" "$manifest"
    settle "$manifest"
    show "$manifest" GreetingChain --chain "$steps" --config "$work/$manifest.toml" \
        --functions "$work/functions" --data "$work/raw" --in-flight 1 --duration "$seconds" --floor
    aim "commits a chain" "$(quotient "$(value .whole.commitsPerSaga)" 1)" "at most $commits"
    aim "a step, less its commits, us" "$(rounded "$(value .alone.stepBeyondUs)")" "at most 100"
    stop "$manifest"
done
