# check: how many states `sagahost check` looks at in a second.
echo "== sagahost check: a saga of five and one of ten steps, each with its undo"
with_component test-sagas
check() {
    seq "$1" | sed 's/.*/"item &"/' | paste -sd, | sed 's/.*/[orchestrators.EachItem]\ninput = [&]/' >"$work/check.toml"
    "$sagahost" check EachItem "$functions/test_sagas.wasm" --file "$work/check.toml" --json |
        awk -F'[:,]' '/"seconds": [0-9]+\./ { s = $2 } /"states": [0-9]+,$/ { n = $2 }
            END { printf "%d %.3f %.0f\n", n, s, n / s }'
}
read -r states5 seconds5 rate5 < <(check 5)
read -r states10 seconds10 rate10 < <(check 10)
echo "  5 steps                $states5 states in $seconds5 s, $rate5 a second"
echo "  10 steps               $states10 states in $seconds10 s, $rate10 a second"
aim "states a second, 10 steps against 5" "$(quotient "$rate10" "$rate5")" "about 1"
