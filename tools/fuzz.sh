#!/usr/bin/env bash
# Runs every fuzz test for FUZZTIME (10s). A finding stays in its testdata/fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
for m in core respserver admin loadgen tests; do
	(
		cd $m
		grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -rn1 dirname | sort -u | while read -r package; do
			grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$package"/*_test.go | sed 's/^func //' | sort | while read -r name; do
				echo "== $m/${package#./} $name"
				go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-10s}" "$package"
			done
		done
	)
done
