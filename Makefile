# make, or make help, says what there is.

SHELL := /bin/bash
GO ?= go
PKGS := ./...
FUZZTIME ?= 30s
DURATION ?= 10m
SCHEDULES ?= 200000
SEED ?=
COUNT ?= 20
BASELINE ?=
GOLANGCI := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK := $(GO) run golang.org/x/vuln/cmd/govulncheck@latest

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/raftredis
	$(GO) build -o bin/raftredis ./cmd/raftredis

.PHONY: cluster
cluster: ## Run the Procfile's three nodes until Ctrl-C (no Procfile runner needed)
	@pids=(); trap 'trap "" INT TERM; kill "$${pids[@]}"; wait; exit 0' INT TERM; \
	while IFS=: read -r name command; do \
		case "$$name" in ''|\#*) continue;; esac; \
		eval "exec $$command" > >(trap '' INT; while IFS= read -r line; do printf '%s | %s\n' "$$name" "$$line"; done) 2>&1 & \
		pids+=($$!); \
	done < Procfile; wait

.PHONY: test
test: ## Run every test that takes no special setup
	$(GO) test $(PKGS)

.PHONY: race
race: ## Run the same tests under the race detector
	$(GO) test -race $(PKGS)

.PHONY: int
int: ## Run the tests that start real processes, in the open
	$(GO) test -v -count=1 ./integration

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (30s)
	@$(GO) list $(PKGS) | while read -r pkg; do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "== $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

.PHONY: stress
stress: ## Run the tests COUNT (20) times under the race detector, in random order
	$(GO) test -race -count $(COUNT) -shuffle on -failfast $$($(GO) list $(PKGS) | grep -v /integration)

.PHONY: soak
soak: ## Run SCHEDULES (200000) random schedules of whole clusters in memory, on all processors; SEED repeats a run
	@$(GO) test -c -o bin/raftnode.test ./raftnode && cd raftnode && \
	seed=$(or $(SEED),$$((RANDOM * 32768 + RANDOM))); n=$$(nproc); each=$$(( ($(SCHEDULES) + n - 1) / n )); pids=(); echo "first seed $$seed, $$each on each of $$n processors"; \
	for i in $$(seq 0 $$((n - 1))); do \
		../bin/raftnode.test -test.run '^TestRandomSchedules$$' -test.timeout 0 -sim.seed $$((seed + i * each)) -sim.count $$each & pids+=($$!); \
	done; status=0; for p in "$${pids[@]}"; do wait "$$p" || status=1; done; exit $$status

.PHONY: torture
torture: ## Break a real cluster for DURATION (10m) and check what clients saw; SEED repeats a run
	$(GO) run ./integration/torture -duration $(DURATION) $(if $(SEED),-seed $(SEED))

.PHONY: bench
bench: ## Compare with redis-server on this machine, and with BASELINE (another binary) if given, and write BENCHMARKS.md
	$(GO) run ./integration/bench -out BENCHMARKS.md $(if $(BASELINE),-baseline $(BASELINE))

.PHONY: bench-cache
bench-cache: ## Compare hit ratios with redis-server on this machine and write them into BENCHMARKS.md
	$(GO) run ./integration/bench/cache -out BENCHMARKS.md

.PHONY: generate
generate: ## Rewrite the README's table of commands
	$(GO) generate $(PKGS)

.PHONY: lint
lint: ## Run the linters of .golangci.yml
	$(GOLANGCI) run
	cd integration/apps/go && $(GOLANGCI) run -c $(CURDIR)/.golangci.yml

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what the binary uses
	$(GOVULNCHECK) $(PKGS)

.PHONY: verify
verify: lint ## What must hold before a change goes in: format, vet, lint, a tidy tree, tests under the race detector
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet $(PKGS)
	$(GO) generate $(PKGS)
	$(GO) mod tidy
	git diff --exit-code
	$(GO) test -race $(PKGS)
