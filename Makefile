# drover. `make help` lists the targets.

GO ?= go
export GOFLAGS ?= -buildvcs=false
export CGO_ENABLED ?= 0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LINT_VERSION := v2.15.0
VULN_VERSION := v1.8.0
NFPM_VERSION := v2.45.0
GORELEASER_VERSION := v2.15.1
CYCLONEDX_VERSION := v1.10.0
PACKAGES ?= deb rpm
IMAGE_ENV := $(if $(filter dev,$(ENV)),dev,prod)
BUILDKIT ?= 0
IMAGE ?= drover
IMAGE_TAG ?= latest
FUZZ_TIME ?= 30s
FUZZ ?= .
VULN_DB ?=
SEED ?= $(shell date +%s)
TICKS ?= 10000
RUNS ?= 1000
BENCH ?= .
TIME ?= 10m

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/drover: server, agent and command line in one static program
	@mkdir -p bin
	$(GO) build $(BUILD_FLAGS) -trimpath -ldflags "-s -w -X github.com/droverhq/drover/internal/cli.version=$(VERSION)" -o bin/drover ./cmd/drover

.PHONY: test
test: ## run all tests; tests that need a missing program are skipped
	$(GO) test -timeout 15m ./...

.PHONY: race
race: ## run all tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short -timeout 20m ./...

.PHONY: lint
lint: ## run gofmt, go vet, golangci-lint (with gosec) and govulncheck
	@unformatted="$$(gofmt -l .)"; if [ -n "$$unformatted" ]; then echo "not formatted (run make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION) run ./...
	@$(MAKE) --no-print-directory vulnerabilities

.PHONY: vulnerabilities
vulnerabilities: ## check dependencies for known vulnerabilities; the database is vuln.go.dev (VULN_DB=URL for a mirror)
	@GO='$(GO)' VERSION='$(VULN_VERSION)' DB='$(VULN_DB)' .ci/vulnerabilities

.PHONY: fmt
fmt: ## format all files
	gofmt -w .

.PHONY: scenarios
scenarios: build ## run the scenario files with bin/drover
	bin/drover test testdata/*.txt

.PHONY: test-eventstoredb
test-eventstoredb: ## run the conformance suite of the log on a real EventStoreDB cluster (URL=esdb://...)
	@test -n "$(URL)" || { echo "missing URL: run make test-eventstoredb URL='esdb://admin:changeit@127.0.0.1:2113?tls=false'"; exit 2; }
	@DROVER_TEST_EVENTSTOREDB='$(URL)' $(GO) test -count=1 -timeout 20m -v ./eventlog/eventstoredb -run '^TestBackendOnRealCluster$$'

.PHONY: backends
backends: ## run the conformance suite of the log on every backend and print a table
	$(GO) test ./eventlog/... -run '^TestBackend' -count=1 -json | $(GO) run ./eventlog/eventlogtest/lawtable

.PHONY: sim
sim: ## run TICKS ticks of the simulation from SEED, then RUNS random runs for each property
	$(GO) test -count=1 -timeout 30m ./scenario/sim -v -run '^TestSimulation$$' -seed=$(SEED) -ticks=$(TICKS)
	$(GO) test -count=1 -timeout 30m ./scenario/sim -skip '^TestSimulation$$|Break|Scenario' -rapid.seed=$(SEED) -rapid.checks=$(RUNS)

.PHONY: mutants
mutants: ## change the deciding packages one place at a time and list the changes that no test notices (MUTATE=rollout MATCH=verify.go LIMIT=100 SEED=7 TESTS=rollout WIDE=1)
	$(GO) run ./internal/mutants $(if $(MUTATE),-packages $(MUTATE)) $(if $(MATCH),-match '$(MATCH)') $(if $(LIMIT),-limit $(LIMIT) -seed $(SEED)) $(if $(TESTS),-tests $(TESTS)) $(if $(WIDE),-wide)

.PHONY: faults
faults: ## run servers, agents and PostgreSQL as real processes under faults (SEED=7 TIME=10m)
	$(GO) test -count=1 -timeout 3h ./internal/faults -v -args -seed=$(SEED) -time=$(TIME)

.PHONY: fuzz
fuzz: ## run each fuzz test for FUZZ_TIME (FUZZ=pattern selects tests)
	@GO='$(GO)' TIME='$(FUZZ_TIME)' PATTERN='$(FUZZ)' .ci/fuzz

.PHONY: bench
bench: ## run the short form of all measurements into bin/performance.md, under five minutes
	@mkdir -p bin
	$(GO) run ./bench -short -page bin/performance.md all

.PHONY: bench-long
bench-long: ## run all measurements into docs/performance/measurements.md, about an hour and a half
	$(GO) run ./bench all

.PHONY: attack
attack: ## attack a server with one agent and compare the deployments to other machines with those before, about 40 s
	$(GO) run ./bench -short attack

.PHONY: gobench
gobench: ## run the Go benchmarks (BENCH=pattern), for benchstat
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: reference
reference: ## regenerate docs/reference/commands.md from the program
	$(GO) test -count=1 ./internal/cli -run '^TestCommandReferenceIsUpToDate$$' -args -rewrite

.PHONY: docs
docs: ## open the package documentation in a browser
	$(GO) doc -http

.PHONY: image
image: build ## build the images drover and drover-agent, FROM scratch, with the local Docker engine
	packaging/image/make-context bin/image "$$(command -v busybox || true)"
	DOCKER_BUILDKIT=$(BUILDKIT) docker build --build-arg ENV=$(IMAGE_ENV) -f packaging/image/Dockerfile --target server -t $(IMAGE):$(IMAGE_TAG) bin/image
	DOCKER_BUILDKIT=$(BUILDKIT) docker build --build-arg ENV=$(IMAGE_ENV) -f packaging/image/Dockerfile --target agent -t $(IMAGE)-agent:$(IMAGE_TAG) bin/image

.PHONY: image-test
image-test: ## build the images in a real Docker engine and run the demo; skipped with a message without an engine
	packaging/image/try

.PHONY: packages
packages: build ## build deb and rpm into dist/, with man pages, completions and systemd units (PACKAGES="deb rpm")
	GO="$(GO)" VERSION="$(VERSION)" NFPM_VERSION=$(NFPM_VERSION) packaging/packages $(PACKAGES)

.PHONY: packages-test
packages-test: packages ## check the contents of the packages, install the deb in a temporary root, check the units
	packaging/packages check

.PHONY: release-check
release-check: ## check .goreleaser.yaml
	$(GO) run github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION) check

.PHONY: release-try
release-try: ## build all files of a release into dist/ from this commit, without publishing
	$(GO) run github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION) release --snapshot --clean

bin/cyclonedx-gomod: Makefile
	GOBIN='$(CURDIR)/bin' $(GO) install -trimpath github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)
	@touch $@

.PHONY: release-seal
release-seal: bin/cyclonedx-gomod ## add bills of materials, SHA256SUMS and its signature (DROVER_RELEASE_KEY=FILE) to the release in dist/
	packaging/seal dist

.PHONY: release-test
release-test: bin/cyclonedx-gomod ## build twice, seal with a temporary key, and verify as users do
	GO="$(GO)" packaging/release-test

.PHONY: pin-images
pin-images: ## look up the digests of the base images, for --build-arg and the compose files (needs Docker and a registry)
	packaging/image/pin

.PHONY: demo
demo: ## run a demo fleet and a checked walkthrough; ONCE=1 exits after the walkthrough
	@echo "building drover; the first build downloads and compiles its dependencies, which takes some minutes"
	@$(MAKE) --no-print-directory build BUILD_FLAGS=-v
	@bin/drover demo $(if $(ONCE),--once)
