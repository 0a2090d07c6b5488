# drover: `make help` lists what there is.

GO ?= go
export GOFLAGS ?= -buildvcs=false
export CGO_ENABLED ?= 0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LINT_VERSION := v2.15.0
VULN_VERSION := v1.8.0
NFPM_VERSION := v2.45.0
GORELEASER_VERSION := v2.15.1
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
DAYS ?= 1000
BENCH ?= .
TIME ?= 10m

.DEFAULT_GOAL := help

.PHONY: help
help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## bin/drover: server, agent and command line in one static program
	@mkdir -p bin
	$(GO) build $(BUILD_FLAGS) -trimpath -ldflags "-s -w -X github.com/droverhq/drover/internal/cli.version=$(VERSION)" -o bin/drover ./cmd/drover

.PHONY: test
test: ## all tests; what this machine lacks is skipped and said
	$(GO) test -timeout 15m ./...

.PHONY: race
race: ## all tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short -timeout 20m ./...

.PHONY: lint
lint: ## gofmt, go vet, golangci-lint (with gosec), govulncheck
	@unformatted="$$(gofmt -l .)"; if [ -n "$$unformatted" ]; then echo "not formatted (make fmt does it):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION) run ./...
	@$(MAKE) --no-print-directory vulnerabilities

.PHONY: vulnerabilities
vulnerabilities: ## known vulnerabilities in what we build on; the list comes from vuln.go.dev (VULN_DB=URL for a mirror)
	@GO='$(GO)' VERSION='$(VULN_VERSION)' DB='$(VULN_DB)' .ci/vulnerabilities

.PHONY: fmt
fmt: ## format all files
	gofmt -w .

.PHONY: scenarios
scenarios: build ## run the scenario files as users do
	bin/drover test testdata/*.txt

.PHONY: test-eventstoredb
test-eventstoredb: ## the laws of the log on a real cluster (URL=esdb://...)
	@test -n "$(URL)" || { echo "name the cluster: make test-eventstoredb URL='esdb://admin:changeit@127.0.0.1:2113?tls=false'"; exit 2; }
	@DROVER_TEST_EVENTSTOREDB='$(URL)' $(GO) test -count=1 -timeout 20m -v ./eventlog/eventstoredb -run '^TestBackendOnRealCluster$$'

.PHONY: backends
backends: ## the laws of the log on every backend, as a table
	$(GO) test ./eventlog/... -run '^TestBackend' -count=1 -json | $(GO) run ./eventlog/eventlogtest/lawtable

.PHONY: sim
sim: ## TICKS ticks of the seeded simulation from SEED, then 1000 random days for each property
	$(GO) test -count=1 -timeout 30m ./scenario/sim -v -run '^TestSimulation$$' -seed=$(SEED) -ticks=$(TICKS)
	$(GO) test -count=1 -timeout 30m ./scenario/sim -run '^TestWhat|^TestMachines|^TestA|^TestOnly' -rapid.seed=$(SEED) -rapid.checks=$(DAYS)

.PHONY: faults
faults: ## servers, agents and PostgreSQL as real processes, and what can go wrong (SEED=7 TIME=10m)
	$(GO) test -count=1 -timeout 3h ./internal/faults -v -args -seed=$(SEED) -time=$(TIME)

.PHONY: fuzz
fuzz: ## each fuzz test for FUZZ_TIME (FUZZ=pattern for some)
	@GO='$(GO)' TIME='$(FUZZ_TIME)' PATTERN='$(FUZZ)' .ci/fuzz

.PHONY: bench
bench: ## each budget's figure in its short form, under five minutes, into bin/performance.md
	@mkdir -p bin
	$(GO) run ./bench -short -page bin/performance.md all

.PHONY: bench-long
bench-long: ## each budget's figure whole, about an hour and a half, into docs/performance/measurements.md
	$(GO) run ./bench all

.PHONY: gobench
gobench: ## benchmarks of Go (BENCH=pattern), as benchstat reads them
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: reference
reference: ## docs/reference/commands.md anew, from the program
	$(GO) test -count=1 ./internal/cli -run '^TestTheCommandReferenceIsUpToDate$$' -args -rewrite

.PHONY: docs
docs: ## read the packages' documentation in a browser
	$(GO) doc -http

.PHONY: image
image: build ## the images drover and drover-agent, FROM scratch, by the Docker engine that `docker` speaks to
	packaging/image/make-context bin/image "$$(command -v busybox || true)"
	DOCKER_BUILDKIT=$(BUILDKIT) docker build --build-arg ENV=$(IMAGE_ENV) -f packaging/image/Dockerfile --target server -t $(IMAGE):$(IMAGE_TAG) bin/image
	DOCKER_BUILDKIT=$(BUILDKIT) docker build --build-arg ENV=$(IMAGE_ENV) -f packaging/image/Dockerfile --target agent -t $(IMAGE)-agent:$(IMAGE_TAG) bin/image

.PHONY: image-test
image-test: ## build the images in a real Docker engine, and run the demo in one; says so where no engine can be had
	packaging/image/try

.PHONY: packages
packages: build ## dist/: deb and rpm with man pages, completion and systemd units (PACKAGES="deb rpm")
	GO="$(GO)" VERSION="$(VERSION)" NFPM_VERSION=$(NFPM_VERSION) packaging/packages $(PACKAGES)

.PHONY: packages-test
packages-test: packages ## look into the packages, install the deb in a root of its own, check the units
	packaging/packages check

.PHONY: release-check
release-check: ## check .goreleaser.yaml
	$(GO) run github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION) check

.PHONY: release-try
release-try: ## dist/: all that a release has, from this commit and without publishing anything
	$(GO) run github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION) release --snapshot --clean

.PHONY: demo
demo: ## a fleet of its own with a story that is checked as it is told; ONCE=1 ends with the story
	@echo "building drover; the first time its libraries are fetched and compiled, which takes some minutes"
	@$(MAKE) --no-print-directory build BUILD_FLAGS=-v
	@bin/drover demo $(if $(ONCE),--once)
