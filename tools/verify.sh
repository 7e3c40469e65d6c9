#!/usr/bin/env bash
# Checks what needs no test run: formatting, vet, lint, tidy modules, the
# direction of imports, and that nothing generated is out of date.
set -uo pipefail
cd "$(dirname "$0")/.."
modules="core respserver admin loadgen tests tools tools/verifydeploy"
built="tools/promtool tools/linters" # have no code of ours
export GOWORK=off # each module as others get it; tools is in no workspace
failed=0
check() { # check NAME COMMAND…: runs it, prints what it prints when it fails
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		echo "ok  	$name"
		[ -z "$out" ] || echo "$out"
	else
		echo "FAIL	$name"
		echo "$out"
		failed=$((failed + 1))
	fi
}

formatted() {
	local files
	files=$(git ls-files -co --exclude-standard -- '*.go' | while read -r f; do [ ! -e "$f" ] || echo "$f"; done | xargs -r gofmt -l) || return 1
	[ -z "$files" ] || { printf 'not formatted (make fmt):\n%s\n' "$files"; return 1; }
}

vet() { for m in $modules; do go -C "$m" vet ./... || return 1; done; }

tidy() {
	local bad=0
	for m in $modules $built; do go -C "$m" mod tidy -diff || { echo "$m/go.mod is not tidy (make tidy)"; bad=1; }; done
	return $bad
}

lint() {
	local bad=0 top=$PWD
	go -C tools build -o ../build/tools/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint || return 1
	for m in $modules; do
		(cd "$m" && "$top/build/tools/golangci-lint" run --allow-parallel-runners --config "$top/.golangci.yml" ./...) || { echo "in $m"; bad=1; }
	done
	return $bad
}

# Generators must leave every file as it is.
generated() {
	local before after
	before=$(git ls-files -co --exclude-standard -z | xargs -0 sha256sum 2>/dev/null)
	for m in $modules; do go -C "$m" generate ./... || return 1; done
	after=$(git ls-files -co --exclude-standard -z | xargs -0 sha256sum 2>/dev/null)
	[ "$before" = "$after" ] || {
		echo "generated files were out of date; commit what make generate has changed:"
		diff <(echo "$before") <(echo "$after") | sed -n 's/^> [0-9a-f]*  //p'
		return 1
	}
}

check "gofmt" formatted
check "go vet" vet
check "go mod tidy -diff" tidy
check "imports, dependencies, words" go -C tools run ./check ..
check "go generate" generated
check "golangci-lint" lint
if [ $failed -gt 0 ]; then
	echo "verify: $failed checks failed"
	exit 1
fi
echo "verify: all checks passed"
