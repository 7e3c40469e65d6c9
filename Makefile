# Every target gets what it needs by itself; Go, make and git are enough to begin with.
MODULES := core respserver admin loadgen tests tools tools/verifydeploy tools/promtool tools/linters
SHELL := bash
.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || sed -nE 's/^([a-z-]+):.*## (.*)/  make \1  \2/p' Makefile

.PHONY: demo
demo: build ## run the daemon with an in-process broker and read one user by its UUID
	@GOWORK=off go -C tools build -o ../build/tools/demo ./demo
	@build/tools/demo bin/kafka-cache

.PHONY: build
build: ## build the programs into bin/
	@go build -o bin/ ./respserver/cmd/... ./loadgen/cmd/...

.PHONY: setup
setup: ## get what the tests need: Java, Maven, Kafka's jars, redis-server, kcat, redis-py, the original's encodings, Chromium, promtool
	@tools/setup.sh

.PHONY: test
test: setup ## every test, on real Kafka, with the race detector
	@tools/test.sh

.PHONY: verify
verify: ## formatting, vet, lint, tidy modules, direction of imports, generated files
	@tools/verify.sh

.PHONY: verify-deploy
verify-deploy: ## manifests by Kubernetes' own validation and kube-score; Dockerfile, compose file, Prometheus's configuration and workflows by hadolint, compose-go, promtool and actionlint
	@tools/verifydeploy.sh

# Not as a default of $(or …), which takes commas for its own.
CONFORMANCE_ARGS ?= -brokers 1,3 -out docs/conformance.md

.PHONY: conformance
conformance: setup ## every situation in which caches of a log go wrong, on one and three brokers: docs/conformance.md
	@go -C tests build -o ../build/tools/conformance ./conformance/cmd/conformance
	@build/tools/conformance $(CONFORMANCE_ARGS)

.PHONY: compat
compat: setup ## every client library and tool against the daemon: docs/compatibility.md; COMPAT_ARGS choose
	@go -C tests build -o ../build/tools/compat ./compat/cmd/compat
	@build/tools/compat $(or $(COMPAT_ARGS),-out docs/compatibility.md)

.PHONY: history
history: setup ## ten minutes of concurrent clients, kills and faults, checked against the log; HISTORY_ARGS choose
	@go -C tests build -o ../build/tools/history ./history/cmd/history
	@build/tools/history $(or $(HISTORY_ARGS),-duration 10m -brokers 3)

.PHONY: redis-suite
redis-suite: build ## Redis's own test suite, what a server of strings can run of it; REDIS_SUITE_ARGS='-only unit/scan -v' choose
	@tools/redis-source.sh
	@go -C tests build -o ../build/tools/redissuite ./redissuite
	@build/tools/redissuite $(REDIS_SUITE_ARGS)

.PHONY: caching
caching: setup ## client-side caches of every mode and of libraries for five minutes, with cuts, kills and rebuilds; CACHING_DURATION and CACHING_SEED choose
	@CACHING_DURATION=$(or $(CACHING_DURATION),5m) go test -race -count=1 -timeout 2h -v -run TestNoCacheKeepsAnOverwrittenValue ./tests/caching/

# Not with $(or …), which takes commas for its own.
BENCH_ARGS ?= -out docs/benchmarks.md

.PHONY: bench
bench: ## compare with Redis, Kafka Streams and others on one machine: docs/benchmarks.md, or as BENCH_ARGS say
	@tools/setup.sh bench
	@go -C tests build -o ../build/tools/bench ./bench
	@build/tools/bench $(BENCH_ARGS)

.PHONY: bench-smoke
bench-smoke: setup ## under a minute: has anything become grossly slower, next to redis-server and a raw fetch in the same run?
	@go -C tests build -o ../build/tools/bench ./bench
	@build/tools/bench -smoke

.PHONY: microbench
microbench: ## the benchmarks in the packages; BENCH and BENCHTIME choose
	@go test -run '^$$' -bench '$(or $(BENCH),.)' -benchtime $(or $(BENCHTIME),1s) -benchmem ./core/... ./respserver/... ./admin/... ./loadgen/... ./tests/...

.PHONY: hostile
hostile: ## attackers with a socket against a daemon, each attack for half a minute with thousands of connections
	@ulimit -n 20000; go -C tests test -timeout 30m -v ./hostile -args -long

.PHONY: fuzz
fuzz: ## every fuzz test for a short while, FUZZTIME each (10s)
	@tools/fuzz.sh

.PHONY: screenshots
screenshots: setup ## the pictures of docs/status-page.md, of an instance that has run for four minutes
	@go test -count=1 -timeout 20m -v -run '^TestScreenshots$$' ./tests/statuspage -args -screenshots $(CURDIR)/docs/images

.PHONY: kafka
kafka: setup ## run a real Kafka on loopback until interrupted
	@go -C tests run ./kafkatest/cmd/kafka $(KAFKA_ARGS)

.PHONY: fmt
fmt: ## format every Go file
	@gofmt -w $(MODULES)

.PHONY: tidy
tidy: ## tidy every go.mod
	@for m in $(MODULES); do GOWORK=off go -C $$m mod tidy || exit 1; done

.PHONY: generate
generate: ## make generated files anew
	@for m in $(MODULES); do GOWORK=off go -C $$m generate ./... || exit 1; done

.PHONY: clean
clean: ## remove what was built or downloaded into the repository
	@rm -rf bin build
