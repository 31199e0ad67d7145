# Every target installs what it needs (engine, registry, tools) on a bare
# Debian 12 machine with Go, Node and root, and is safe to run again.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
TAGS    := nomsgpack
LDFLAGS := -s -w -X github.com/watch-docker/watch-docker/internal/app.version=$(VERSION)
LINT    := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 18

.PHONY: demo
demo: build ## show the main job on a real engine and a real registry
	go run ./test/demo -program bin/watch-docker

.PHONY: run
run: ## run the server from source
	go run -tags $(TAGS) cmd/watch-docker/main.go

.PHONY: build
build: ## build bin/watch-docker, static
	CGO_ENABLED=0 go build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/watch-docker cmd/watch-docker/main.go

.PHONY: image
image: build ## build the container image from bin/watch-docker alone, on the engine that DOCKER_HOST names
	rm -rf dist/image
	install -D -m 0755 bin/watch-docker dist/image/root/watch-docker
	install -D -m 0644 /etc/ssl/certs/ca-certificates.crt dist/image/root/etc/ssl/certs/ca-certificates.crt
	install -D -p -m 0755 "$$(go run ./test/testbed/cmd/testbed compose)" dist/image/compose/usr/local/bin/docker-compose
	install -d -m 0770 dist/image/state/config
	docker build -f Dockerfile.binary --build-arg VERSION=$(VERSION) -t watch-docker .

.PHONY: test
test: ## run all tests, with the race detector, on the engine of Debian 12
	go run ./test/testbed/cmd/testbed install
	go test -race -tags $(TAGS) -timeout 60m ./...

.PHONY: test-newest
test-newest: ## the tests that need an engine, on the newest Moby (built the first time: about 5 minutes)
	WATCHDOCKER_TEST_ENGINE=newest go run ./test/testbed/cmd/testbed install
	WATCHDOCKER_TEST_ENGINE=newest go test -race -tags $(TAGS) -timeout 20m -count=1 ./test/... ./internal/dockercli/... ./internal/updater/...

.PHONY: campaign
campaign: ## kill the program and its engine everywhere in an update; see doc/reliability.md
	go run ./test/testbed/cmd/testbed install
	WATCHDOCKER_CAMPAIGN=whole go test -tags $(TAGS) -run 'TestKilledAnywhere|TestItReplacesItselfWhateverIsKilled' -v -count=1 -timeout 60m ./test/campaign ./test/image

.PHONY: mutations
mutations: ## take the defences out one by one, and see that the attack suite notices; see doc/security.md; half an hour
	go run ./test/testbed/cmd/testbed install
	go run ./test/attack/mutate $(if $(RUN),-run '$(RUN)')

.PHONY: conformance
conformance: export UPDATER ?= watch-docker update -all
conformance: build ## judge an updater, UPDATER='watch-docker update -all' ENGINE=newest; see doc/reliability.md
	go run ./test/testbed/cmd/testbed install $(if $(filter newest,$(ENGINE)),-newest)
	PATH="$(CURDIR)/bin:$$PATH" go run ./test/conformance -updater "$$UPDATER" -engine '$(or $(ENGINE),oldest)' $(ARGS)

.PHONY: watchtower
watchtower: ## build bin/watchtower, Watchtower 1.7.1, to compare with
	install -D "$$(go run ./test/testbed/cmd/testbed watchtower)" bin/watchtower

.PHONY: check
check: ## format, vet, lint, import rules, module file, generated files
	@unformatted=$$(gofmt -l cmd internal test); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	go vet -tags $(TAGS) ./...
	go mod tidy -diff
	$(LINT) run
	go test ./test/rules ./internal/config

.PHONY: bench
bench: ## measure against the numbers of the design; see test/bench/README.md
	go run ./test/testbed/cmd/testbed install
	go test -tags $(TAGS) -run '^$$' -bench . -benchtime 1x -timeout 30m ./test/bench/ ./internal/registry/

.PHONY: testbed-up
testbed-up: ## bring up a private engine and registries, and leave them running
	go run ./test/testbed/cmd/testbed up -d -env .testbed.env

.PHONY: testbed-down
testbed-down: ## take down what testbed-up brought up
	go run ./test/testbed/cmd/testbed down -env .testbed.env
