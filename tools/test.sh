#!/usr/bin/env bash
# Runs every test with the race detector, after building each module without the
# workspace. The last line counts them.
set -euo pipefail
cd "$(dirname "$0")/.."
modules="core respserver admin loadgen tests"

for m in $modules; do
	# As others get it: without the go.work that lays the modules over each other.
	GOWORK=off go -C "$m" build ./...
	GOWORK=off go -C "$m" vet ./...
	echo "ok  	$m builds without the workspace"
done

products=()
for m in core respserver admin loadgen; do products+=("./$m/..."); done

GOWORK=off go -C tools build -o ../build/tools/gotest ./gotest
# The connections of the Redis frontend have goroutines, or an event loop: what is theirs runs with both. Go's cache of results knows neither of the choice nor of the daemon that tests build.
loop="KAFKA_CACHE_TEST_RESP_DRIVER=epoll"
# What runs brokers and daemons waits for them most of the time: two packages at a time. What attacks a daemon, or times its replies, runs alone. What counts bytes and allocations (TestCost…) runs without the race detector, which adds its own.
alone=(./tests/hostile ./tests/resp)
mapfile -t others < <(go list ./tests/... | grep -vE '/tests/(hostile|resp)$')
exec build/tools/gotest -race -timeout 10m "${products[@]}" -- GOWORK=off -C tools ./... \
	-- -count=1 -race -timeout 14m -p 2 "${others[@]}" -- -count=1 -race -timeout 10m -p 1 "${alone[@]}" \
	-- "$loop" -count=1 -race -timeout 5m -p 1 ./respserver ./tests/resp \
	-- -timeout 5m -p 1 -run '^TestCost' ./respserver ./tests/resp ./tests/integration -- "$loop" -count=1 -timeout 5m -p 1 -run '^TestCost' ./respserver ./tests/resp
