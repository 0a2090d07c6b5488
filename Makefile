# drover's chores; `make help` lists them.
export GOFLAGS ?= -buildvcs=false
VERSION ?= $(shell git describe --always --dirty 2>/dev/null || echo dev)
LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: help build test race lint fmt scenarios backends sim fuzz bench

help: ## list what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: ## the one static binary, bin/drover
	@echo "building bin/drover (the first build compiles SQLite and takes a minute)"
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/drover ./cmd/drover

test: ## all tests, on a machine with Go and make alone
	go test -timeout 15m ./...

race: ## all tests under the race detector (needs a C compiler)
	go test -race -timeout 30m ./...

lint: ## vet, format and golangci-lint
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run make fmt"; exit 1; }
	go vet ./...
	go run $(LINT) run ./...

fmt: ## bring the code into Go's format
	gofmt -w .

scenarios: ## the scenario files; REWRITE=1 fills in what they print
	go test ./scenario -run Scenario -count=1 $(if $(REWRITE),-rewrite)

backends: ## laws × backends, as the table in the docs
	go test ./eventlog/... -run TestTable -count=1 -v

sim: ## the simulation; SEED=… TICKS=…
	go test ./scenario/sim -run Sim -count=1 -v $(if $(SEED),-seed $(SEED)) $(if $(TICKS),-ticks $(TICKS))

fuzz: ## each fuzz target for a minute
	@for pkg in $$(grep -rl --include=*_test.go 'func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for target in $$(grep -rhoE 'func Fuzz[A-Za-z]+' $$pkg/*_test.go | sed 's/func //'); do \
	    go test $$pkg -run '^$$' -fuzz "^$$target$$" -fuzztime 1m || exit 1; done; done

bench: ## the benchmarks, short form
	go test ./engine ./eventlog/... -run '^$$' -bench . -benchtime 3x
