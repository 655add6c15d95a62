# What people type. cargo does the work, `cargo xtask` has the logic; what is missing is installed or named.

CARGO ?= cargo
TEST_FLAGS ?=
FUZZ_SECONDS ?= 60
FIPS := --no-default-features --features chartgate-server/fips
TOOLS := $(CURDIR)/.tools
# The tests wait for processes half of their time: so many more at once.
export RUST_TEST_THREADS ?= $(shell echo $$(($$(nproc) * 3 / 2)))
# What a test says when it fails, and not beneath it some hundred lines of where from.
export RUST_BACKTRACE := 0

.DEFAULT_GOAL := help
.PHONY: help demo run test check lint fmt docs dist bench fuzz fips

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: toolchain ## the whole idea on this machine: people, patients, gateway, log (Ctrl-C ends it)
	$(CARGO) run --package chartgate-server -- demo $(ARGS)

run: toolchain ## any command of chartgate: make run ARGS="config check"
	$(CARGO) run --package chartgate-server -- $(or $(ARGS),serve)

test: toolchain ## everything that must hold: tests, pages in Chromium, clients of others, policies, rules
	@$(call need,chromium,chromium) && $(call need,node,nodejs) && $(call need,npm,npm) && $(call need,python3,python3)
	@$(call need,rsyslogd,rsyslog rsyslog-gnutls)
	@python3 -m ensurepip --version >/dev/null 2>&1 || $(call get,the venv of python3,python3-venv)
	$(CARGO) test --workspace $(TEST_FLAGS)
	$(CARGO) xtask policies
	$(CARGO) xtask check

check: toolchain lint ## the rules and lints, without the tests
	$(CARGO) xtask check
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --offline check bans licenses sources; \
	else echo "cargo-deny is not installed: licences were not checked"; fi

lint: toolchain ## formatting and clippy, warnings refused
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

fmt: toolchain ## format everything
	$(CARGO) fmt --all

docs: toolchain ## the pages made from code, and the API's documentation
	UPDATE_PAGES=1 $(CARGO) test --quiet --package chartgate-server --bin chartgate pages_from_code
	$(CARGO) doc --workspace --no-deps --document-private-items

bench: dist ## side by side with nginx, HAProxy and oidc-provider; writes bench/RESULTS.md
	@$(call need,nginx,nginx-light) && $(call need,haproxy,haproxy) && $(call need,wrk,wrk) && $(call need,python3,python3)
	@$(call need,npm,npm)
	@[ bench/oidc_provider/node_modules/.package-lock.json -nt bench/oidc_provider/package-lock.json ] || \
	    npm ci --prefix bench/oidc_provider --ignore-scripts --no-audit --no-fund --silent
	@command -v $(TOOLS)/bin/oha >/dev/null || { echo "building oha into .tools"; \
	    $(CARGO) install --quiet --locked --root $(TOOLS) --version 1.16.0 oha; }
	$(CARGO) build --profile dist --package chartgate-audit --example append_rate
	$(CARGO) build --release --manifest-path bench/jwt/Cargo.toml
	python3 bench/run.py $(ARGS)

dist: toolchain ## what ships, target/dist/chartgate: built, used for a while, built again by what that showed
	@$(call need,python3,python3)
	$(CARGO) xtask dist

fips: toolchain ## the build on aws-lc's FIPS module (docs/fips.md), and what it computes and decides tested on it
	@$(call need,go,golang-go) && $(call need,cmake,cmake)
	$(CARGO) build --package chartgate-server $(FIPS)
	$(CARGO) test --package chartgate-values --package chartgate-protocol --package chartgate-audit \
	    --package chartgate-server $(FIPS) --lib --bin chartgate
	$(CARGO) test --package chartgate-server $(FIPS) --test it -- hashes:: second_factors:: story::

fuzz: toolchain ## every fuzz target for FUZZ_SECONDS (60)
	@command -v $(TOOLS)/bin/cargo-fuzz >/dev/null || { echo "building cargo-fuzz into .tools"; \
	    $(CARGO) install --quiet --locked --root $(TOOLS) cargo-fuzz; }
	@set -e; for target in fuzz/fuzz_targets/*.rs; do name=$$(basename $$target .rs); \
	    mkdir -p fuzz/corpus/$$name; \
	    PATH="$(TOOLS)/bin:$$PATH" $(CARGO) fuzz run --sanitizer none $$name fuzz/corpus/$$name $$(ls -d fuzz/seeds/$$name 2>/dev/null) \
	        -- -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1; done

.PHONY: toolchain
toolchain:
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust as https://rustup.rs says, then try again"; exit 1; }
	@$(call need,cc,gcc libc6-dev)

# $(call need,PROGRAM,PACKAGES): installs Debian packages where we may, and says what is missing where we may not.
# RUNLEVEL=1 keeps Debian from starting servers that it installs.
need = { command -v $(1) >/dev/null || $(call get,$(1),$(2)); }
get = { if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
        echo "installing $(2)"; apt-get update -qq && RUNLEVEL=1 apt-get install -qq -y --no-install-recommends $(2) >/dev/null; \
    else echo "$(1) is missing; on Debian: apt-get install $(2)"; exit 1; fi; }
