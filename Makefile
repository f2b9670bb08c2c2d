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
NFPM := CGO_ENABLED=0 $(GO) run -trimpath github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4
GOVULNCHECK := $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0

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

.PHONY: pictures
pictures: ## Make the README's pictures of the page anew, with Chromium (3 minutes)
	@mkdir -p docs/pictures
	$(GO) -C integration/browser test -count=1 -timeout 10m -run TestPage . -args -pictures $(CURDIR)/docs/pictures

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (30s), two at a time
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' . | sed -E 's|^\./(.*)/[^/]*:func |./\1 |' | xargs -P 2 -L 1 bash -c \
		'out=$$($(GO) test -run "^$$" -fuzz "^$$1$$" -fuzztime $(FUZZTIME) -parallel 2 "$$0" 2>&1); status=$$?; echo "== $$0 $$1"; tail -n 40 <<<"$$out"; exit $$status'

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

PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
BUILT := $(shell git describe --tags --always --dirty=+changes)
VERSION := $(shell sed -n 's/^const release = "\(.*\)"/\1/p' cmd/raftredis/help.go)

.PHONY: dist
dist: ## Build dist/: static binaries for PLATFORMS, .deb and .rpm, the chart
	@rm -rf dist && mkdir dist
	@for p in $(PLATFORMS); do dir=dist/$${p/\//-}; echo "$$dir"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -trimpath -ldflags "-s -w -X main.built=$(BUILT)" -o $$dir/raftredis ./cmd/raftredis || exit 1; \
		tar -C $$dir -czf dist/raftredis-$(VERSION)-$${p/\//-}.tar.gz --owner 0 --group 0 raftredis || exit 1; \
	done
	@print() { CGO_ENABLED=0 $(GO) run -trimpath ./cmd/raftredis print "$$1"; }; \
	print conf | sed 's|^#dir .*|dir /var/lib/raftredis|' >dist/raftredis.conf && print man | gzip -9n >dist/raftredis.1.gz && \
	print bash >dist/raftredis.bash && print zsh >dist/raftredis.zsh && print fish >dist/raftredis.fish
	@cd dist && for p in $(filter linux/%,$(PLATFORMS)); do for kind in deb rpm; do \
		VERSION=$(VERSION) ARCH=$${p#*/} $(NFPM) package --config ../deploy/package/nfpm.yaml --packager $$kind --target . || exit 1; \
	done; done
	@cp -r deploy/helm/raftredis dist/chart && sed -i -E 's/^(version|appVersion): .*/\1: $(VERSION)/' dist/chart/Chart.yaml && \
	tar -C dist -czf dist/raftredis-chart-$(VERSION).tgz --owner 0 --group 0 --transform 's|^chart|raftredis|' chart && rm -r dist/chart
	@cd dist && sha256sum *.tar.gz *.tgz *.deb *.rpm >SHA256SUMS && ls -l

IMAGE_BUILDER ?= docker build
.PHONY: image
image: ## Build the image raftredis, also as raftredis:VERSION
	$(IMAGE_BUILDER) -f deploy/Dockerfile --build-arg BUILT=$(BUILT) -t raftredis -t raftredis:$(VERSION) .

.PHONY: chart
chart: ## Lint and render the Helm chart and read the compose file; build bin/chart, which tests render with
	$(GO) build -C integration/deploy -o $(CURDIR)/bin/chart .
	$(GO) -C integration/deploy test .

.PHONY: generate
generate: ## Rewrite the lists of docs/differences.md
	$(GO) generate $(PKGS)

.PHONY: lint
lint: ## Run the linters of .golangci.yml
	$(GOLANGCI) run
	cd integration/apps/go && $(GOLANGCI) run -c $(CURDIR)/.golangci.yml
	cd integration/browser && $(GOLANGCI) run -c $(CURDIR)/.golangci.yml
	cd integration/deploy && $(GOLANGCI) run -c $(CURDIR)/.golangci.yml

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
