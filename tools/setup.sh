#!/usr/bin/env bash
# Gets what `make test` needs beyond Go, and only what is missing: a C compiler
# (for -race), Java 17 and Maven (for Kafka), redis-server (what replies are
# compared with), kcat, curl and xxd (which the documents use), ip (for network
# namespaces), Python with redis-py (one of the clients) and Confluent's
# serializers, Node.js with the original's encodings, axe-core and uPlot, Chromium
# (which opens loadgen's reports and the status page), promtool. With the argument `bench` also what `make bench`
# compares with and `make test` does not need: a Java compiler, and what the
# original's Kafka client is compiled with. Installs Debian packages where it may,
# and otherwise says exactly what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

missing_packages=() # Debian's names
missing_formulas=() # Homebrew's names
need() { # need DEBIAN-PACKAGES HOMEBREW-FORMULAS
	read -ra d <<<"$1"
	read -ra b <<<"$2"
	missing_packages+=("${d[@]}")
	missing_formulas+=("${b[@]}")
}
has() { command -v "$1" >/dev/null 2>&1; }

# Prints the major version of a java binary: 17, or 8 for "1.8.0_412".
java_major() { "$1" -version 2>&1 | sed -nE 's/.*version "(1\.)?([0-9]+).*/\2/p' | head -n 1; }

# Kafka 3.9 runs on Java 17 to 23, and 4.1 on 17 and newer: 17 to 23 serves both.
has_java() {
	local j v
	for j in "${KAFKATEST_JAVA:-}" "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$(command -v java || true)" \
		/usr/lib/jvm/*/bin/java /Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java; do
		[ -n "$j" ] && [ -x "$j" ] || continue
		v=$(java_major "$j")
		if [ -n "$v" ] && [ "$v" -ge 17 ] && [ "$v" -le 23 ]; then return 0; fi
	done
	return 1
}

has_python() { has python3 && python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

has_node() { has node && has npm && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null; }

has_chromium() { has chromium || has chromium-browser || has google-chrome || has google-chrome-stable || [ -x /Applications/Chromium.app/Contents/MacOS/Chromium ]; }

want=${1:-test}
has_librdkafka() { [ -e /usr/include/librdkafka/rdkafka.h ] || [ -e /usr/local/include/librdkafka/rdkafka.h ] || [ -e /opt/homebrew/include/librdkafka/rdkafka.h ]; }

look() {
	missing_packages=()
	missing_formulas=()
	has gcc || has clang || has cc || need "gcc libc6-dev" "gcc"
	has_java || need "openjdk-17-jre-headless" "openjdk@17"
	has mvn || need "maven" "maven"
	has redis-server || need "redis-server" "redis"
	has kcat || need "kcat" "kcat"
	has curl || need "curl" "curl"
	[ "$(uname)" != Linux ] || has ip || [ -x /sbin/ip ] || need "iproute2" "iproute2mac"
	has xxd || need "xxd" "vim"
	has_python || need "python3 python3-venv python3-pip" "python@3.12"
	has_node || need "nodejs npm" "node"
	has_chromium || need "chromium" "chromium"
	if [ "$want" = bench ]; then
		has javac || need "openjdk-17-jdk-headless" "openjdk@17"
		has g++ || need "g++" "gcc"
		has make || need "make" "make"
		has_librdkafka || need "librdkafka-dev" "librdkafka"
		[ -e /usr/include/node/node.h ] || [ "$(uname)" != Linux ] || need "libnode-dev" "node"
		has redis-benchmark || need "redis-tools" "redis"
	fi
}

look
if [ ${#missing_packages[@]} -gt 0 ]; then
	apt=()
	if has apt-get; then
		if [ "$(id -u)" -eq 0 ]; then
			apt=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get)
		elif has sudo && sudo -n true 2>/dev/null; then
			apt=(sudo -n env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get)
		fi
	fi
	if [ ${#apt[@]} -gt 0 ]; then
		echo "setup: installing ${missing_packages[*]}"
		log=$(mktemp)
		# RUNLEVEL=1 keeps services off: the tests start a redis-server of their own.
		if ! { "${apt[@]}" update -qq && "${apt[@]}" install -y -qq --no-install-recommends "${missing_packages[@]}"; } >"$log" 2>&1; then
			tail -n 20 "$log" >&2
		fi
		rm -f "$log"
		look
	fi
fi
if [ ${#missing_packages[@]} -gt 0 ]; then
	{
		echo "setup: the tests need programs that are missing here and could not be installed. Install them with"
		echo "  Debian, Ubuntu:  sudo apt-get install ${missing_packages[*]}"
		echo "  macOS:           brew install ${missing_formulas[*]}"
		echo "and run make again. (make demo and make build need Go alone.)"
	} >&2
	exit 1
fi

# redis-py in the newest version, which speaks RESP3, and in the oldest that is supported, which speaks RESP2.
python=build/python
if [ ! -x $python/bin/python ]; then
	python3 -m venv $python
fi
for version in 5.0.8 8.1.0; do
	target=$python/redis-$version
	if [ ! -d "$target" ]; then
		rm -rf "$target.tmp"
		$python/bin/python -m pip --disable-pip-version-check install -q --target "$target.tmp" "redis==$version"
		mv "$target.tmp" "$target"
	fi
done

# Confluent's serializers, with all that they need in the versions that are listed.
target=$python/confluent-kafka-$(sed -n 's/^confluent-kafka==//p' tests/encodings/requirements.txt)
if [ ! -d "$target" ]; then
	rm -rf $python/confluent-kafka-*
	$python/bin/python -m pip --disable-pip-version-check install -q --no-deps --target "$target.tmp" -r tests/encodings/requirements.txt
	mv "$target.tmp" "$target"
fi

# The original's encodings; axe-core and uPlot, as their lock files have them.
node_packages() { # node_packages SOURCE TARGET
	if ! cmp -s "$1/package-lock.json" "$2/package-lock.json"; then
		rm -rf "$2.tmp"
		mkdir -p "$2.tmp"
		cp "$1/package.json" "$1/package-lock.json" "$2.tmp/"
		npm ci --prefix "$2.tmp" --ignore-scripts --no-audit --no-fund --loglevel error >/dev/null
		rm -rf "$2"
		mv "$2.tmp" "$2"
	fi
}
node_packages tests/encodings build/node
node_packages tests/statuspage build/statuspage

# Prometheus's own tool, which checks and tests the alerting rules; without what it could find targets by, which would be most of it.
GOWORK=off go -C tools/promtool build -tags remove_all_sd -o ../../build/tools/promtool github.com/prometheus/prometheus/cmd/promtool

# Kafka's jars, of every version that is tested.
if [ -z "${KAFKATEST_BOOTSTRAP:-}" ]; then
	go -C tests run ./kafkatest/cmd/kafka -resolve
fi
