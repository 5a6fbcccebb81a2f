#!/usr/bin/env bash
# Measures a build of the `dist` profile on this machine. Every figure that is worth
# comparing is a count, or a ratio within this one run; README.md says what each
# part tells.
#
#   bench/run.sh                 all parts
#   bench/run.sh PART [...]      one part, a file of bench/parts
#
# In the environment:
#   SAGAHOST_BENCH_BINARY    a program to measure, instead of building one
#   SAGAHOST_BENCH_BEFORE    another one, which `floor` measures beside it
#   SAGAHOST_BENCH_PORT      the first of four ports [17230]
#   SAGAHOST_BENCH_DIR       where the data goes, on the disk to measure [/tmp]
set -euo pipefail
cd "$(dirname "$0")/.."
. bench/lib.sh

# In this order. `against` takes a program and is not among them.
parts=(floor alone chain fan-out in-flight journal payload stored cores overload
    fairness restart idle replay check rounds listing)
if [ $# -eq 0 ]; then
    for part in "${parts[@]}"; do
        # Each begins anew.
        SAGAHOST_BENCH_BINARY=$sagahost "$0" "$part"
    done
    exit
fi
part=$1
shift
if [ ! -f "bench/parts/$part.sh" ]; then
    echo "there is no part $part; there are: against ${parts[*]}" >&2
    exit 2
fi
prepare
. "bench/parts/$part.sh"
