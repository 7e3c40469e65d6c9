#!/usr/bin/env bash
# Gets the sources of the Redis whose test suite is run, into build/, from the archive that apt is set up with or from Redis's own site, and tclsh, which runs it. What
# comes is held against the checksum of the release; nothing of it is ever committed.
set -euo pipefail
cd "$(dirname "$0")/.."

version=7.0.15
dir=build/redis-$version
if ! command -v tclsh >/dev/null 2>&1; then
	if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ]; then
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends tcl >/dev/null
	else
		echo "redis-source: tclsh is missing, which runs Redis's test suite. Debian: apt-get install tcl; macOS: brew install tcl-tk" >&2
		exit 1
	fi
fi
if [ -f $dir/tests/test_helper.tcl ]; then exit 0; fi

# Debian's file is a repacked release, without what Redis links against: each has a checksum of its own.
archive=$(mktemp)
trap 'rm -f "$archive"' EXIT
while read -r sum url; do
	if [ "$url" = apt ]; then
		# Debian keeps the release beside the packages that were built of it.
		url=$(apt-get download --print-uris redis-server 2>/dev/null | sed -nE "s|^'([^']*/)[^/']*'.*|\\1redis_$version.orig.tar.gz|p") || url=
		if [ -z "$url" ]; then
			echo "redis-source: not from apt, which knows no redis-server here" >&2
			continue
		fi
	fi
	if curl -fsSL --max-time 120 -o "$archive" "$url" && echo "$sum  $archive" | sha256sum --check --status; then
		rm -rf "$dir.tmp"
		mkdir -p "$dir.tmp"
		tar -xzf "$archive" -C "$dir.tmp" --strip-components 1 "redis-$version/tests" "redis-$version/runtest" "redis-$version/COPYING"
		rm -rf "$dir"
		mv "$dir.tmp" "$dir"
		exit 0
	fi
	echo "redis-source: not from $url" >&2
done <<'END'
4b1dc4ee6d622a09fff9c6777191209750fb5e5a725ef78ea012d6eef4c22982 apt
98066f5363504b26c34dd20fbcc3c957990d764cdf42576c836fc021073f4341 https://download.redis.io/releases/redis-7.0.15.tar.gz
END
echo "redis-source: the sources of Redis $version could not be had, so its test suite was NOT run. Put them into $dir and try again." >&2
exit 1
