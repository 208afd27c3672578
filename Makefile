SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help build dev test histories race lint bench cover docs ci

ARGS ?=
LINT_VERSION := v2.15.0
LINT := bin/golangci-lint-$(LINT_VERSION)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

build: ## Build bin/server and bin/nself
	@mkdir -p bin
	@go build -o bin/ ./cmd/server ./cmd/nself

dev: build ## Run everything on this machine; options: make dev ARGS="--port 9000 --data-dir /tmp/second"
	@exec bin/server dev $(ARGS)

test: ## Run every test, with a private Postgres
	@go test -json ./... | awk -f .ci/tests.awk

histories: ## Play 10,000 random histories of payments, each in order and in disorder
	@go test ./internal/stripesync/histories -run EveryHistory -histories 10000 -timeout 50m -v | grep -v '^=== '

race: ## Run every test under the race detector
	@go test -race -json ./... | awk -f .ci/tests.awk

lint: $(LINT) ## Check form: gofmt, go vet, go mod tidy, golangci-lint
	@unformatted=$$(gofmt -l bench cmd deploy handlers hasura internal); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	@go vet ./...
	@go mod tidy -diff
	@$(LINT) run ./...

$(LINT):
	@echo "building golangci-lint $(LINT_VERSION), once; this takes minutes"
	@mkdir -p bin
	@GOBIN="$(CURDIR)/bin/.$(LINT_VERSION)" go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@mv bin/.$(LINT_VERSION)/golangci-lint $(LINT) && rmdir bin/.$(LINT_VERSION)

bench: ## Measure, one package after the other
	@go test -p 1 -run '^$$' -bench . -benchmem ./... | awk '!/^(PASS|ok|\?)/'

cover: ## Run every test and show what they reach
	@mkdir -p bin
	@go test -json -coverpkg=./... -coverprofile=bin/cover.out ./... | awk -f .ci/tests.awk | grep -v 'coverage: 0.0%'
	@go tool cover -func=bin/cover.out | tail -n 1

docs: ## Check the documents: links, commands, settings, errors
	@go test -json -run 'Document|Published|Example' ./deploy ./internal/contract | awk -f .ci/tests.awk

ci: ## What every change must pass
	@.ci/run
