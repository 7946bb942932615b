# The repository's own commands. Everything a target needs it installs or builds itself.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
TOOLS := tests/tools/install
CLUSTER_TOOLS := e2e/tools/install

.PHONY: help demo test e2e bench lint fuzz image manifests differential mutants

help: ## what there is
	@grep -E '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

demo: ## the main job on embedded parts: a table of images, allowed and denied
	$(CARGO) run --quiet --locked -- demo

test: ## everything but the cluster: unit, property, attack, registry, store and tool tests
	$(CARGO) check --locked --lib --no-default-features
	export TIDEWAITER_TOOLS_DIR="$$($(TOOLS))" TIDEWAITER_CLUSTER_TOOLS_DIR="$$($(CLUSTER_TOOLS))"; $(CARGO) test --locked

e2e: ## a real cluster of one node, tidewaiter installed by its chart, and everything a user would meet (root)
	export TIDEWAITER_TOOLS_DIR="$$($(TOOLS))" TIDEWAITER_CLUSTER_TOOLS_DIR="$$($(CLUSTER_TOOLS))"; $(CARGO) test --locked --test e2e

differential: ## signed chains (CHAINS, from SEED on) judged by ours, by Python's and by Go's in-toto: each difference must be a known one
	export TIDEWAITER_TOOLS_DIR="$$($(TOOLS))" TIDEWAITER_DIFFERENTIAL_CHAINS=$(or $(CHAINS),20000) TIDEWAITER_DIFFERENTIAL_SEED=$(or $(SEED),$$(date +%s)); \
	  $(CARGO) test --locked --test differential -- --nocapture

image: ## the container image as an OCI archive, target/image/tidewaiter.tar (RELEASE=1: what ships)
	image/build $(or $(CARGO_TARGET_DIR),target)/image/tidewaiter.tar

manifests: ## what the chart renders to, for those without Helm; CRDs from the types
	for kind in clusterimagepolicies imagepolicies registryconfigs trustroots; do \
	  $(CARGO) run --quiet --locked -- crds --only $$kind >charts/tidewaiter/files/crds/$$kind.yaml; done
	charts/render >manifests/tidewaiter.yaml

bench: ## ratios, measured side by side in one run (release build)
	export TIDEWAITER_TOOLS_DIR="$$($(TOOLS))"; $(CARGO) bench --locked --bench in_toto --bench capture
	$(CARGO) bench --locked --bench decision
	$(CARGO) bench --locked --bench store --bench store_load
	export TIDEWAITER_CLUSTER_TOOLS_DIR="$$($(CLUSTER_TOOLS))"; $(CARGO) bench --locked --bench admission

lint: ## format, clippy, documentation, the wall around the core, one crypto provider; cargo-deny where it is installed
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --lib --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet
	@tree="$$($(CARGO) tree --locked -e normal -i ring 2>/dev/null)"; [ -z "$$tree" ] || { echo "ring is in the tree: $$tree"; exit 1; }
	@if command -v cargo-deny >/dev/null; then cargo deny --offline check bans licenses sources; fi

fuzz: ## each fuzz target for some seconds (FUZZ_SECONDS)
	fuzz/run

mutants: ## changes floors 0 to 2 one place at a time: a test must notice each (MUTANTS: which; docs/mutation.md)
	tests/tools/mutants $(or $(CARGO_TARGET_DIR),target)/mutants $(MUTANTS)
