# The single door: everything a person or CI does with this project is a target here.
# A machine with Node (20.19 or newer), npm and make needs nothing else for demo, test, check and build.

PREFIX  ?= /opt/tope/updater
DESTDIR ?=
UNITDIR ?= /etc/systemd/system
# Which executables to build or install: x64, arm64, armv7, or (for dist) empty for all three.
ARCH    ?=

BIN     := node_modules/.bin
TSX     := $(BIN)/tsx
# npm writes this file at the end of every install, so it is as new as node_modules is.
MODULES := node_modules/.package-lock.json
SOURCES := $(shell find src -name '*.ts')
BUNDLE  := dist/tope-updater.cjs
# The tools of make dist alone; apart, so that demo and test install quickly.
TOOLS   := build/packaging/node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help demo fleet-demo fleet-test test test-long test-all systemd-roots store-servers real-releases check bench build dist deb deb-roots recipes dist-twice test-executables test-dist install uninstall torture fuzz boot-test release-check clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-22s %s\n", $$1, $$2 }'

demo: $(BUNDLE) ## a whole update on this machine, live, in under a minute
	@$(TSX) test/demo/demo.ts

fleet-demo: $(BUNDLE) ## three devices of a fleet, a rollout that stops, in under two minutes
	@$(TSX) test/demo/fleet-demo.ts

fleet-test: $(BUNDLE) ## the fleet client against gooseBit, a real server from PyPI (Python 3.11; network the first time)
	@$(TSX) test/fleet/goosebit/fleet-test.ts

test: $(BUNDLE) ## the quick tests, with the line coverage of src (T=test/package runs a part)
	@$(TSX) test/run.ts --quick --coverage $(T)

test-long: $(BUNDLE) ## what takes longer: whole proofs, large packages, crowds, the screen in Chromium, executables
	@$(TSX) test/run.ts --long $(T)

test-all: $(BUNDLE) ## both, with the line coverage of all (T=test/powercut runs a part)
	@$(TSX) test/run.ts --coverage $(T)

check: $(MODULES) ## types, format, lint, the rules of code and pages; writes nothing
	$(BIN)/tsc -p .
	$(BIN)/tsc -p src/screen/browser
	$(BIN)/biome ci --error-on-warnings .
	$(TSX) test/run.ts test/tidy.test.ts test/docs/links.test.ts test/docs/prose.test.ts test/docs/generated.test.ts

bench: $(BUNDLE) ## speed and memory against peers and bounds
	@$(TSX) test/bench/bench.ts

torture: $(BUNDLE) ## power cuts on real filesystems; needs root, /dev/fuse and loop devices
	@$(TSX) test/powercut/torture.ts

fuzz: $(BUNDLE) ## random bytes against every parser
	@$(TSX) test/fuzz/fuzz.ts

build: $(BUNDLE) ## dist/tope-updater.cjs: everything in one file, runs with Node

dist: $(MODULES) $(TOOLS) ## one executable per architecture, checksums, SBOM, licences (ARCH=arm64 builds one)
	@$(TSX) build/dist.ts $(ARCH)

dist-twice: $(MODULES) $(TOOLS) ## builds the executables twice from nothing and compares every byte
	@$(TSX) build/dist-twice.ts $(ARCH)

deb: $(MODULES) ## Debian packages of what make dist made, and one for all with Debian's Node.js (ARCH=x64, node)
	@$(TSX) build/deb.ts $(ARCH)

recipes: $(MODULES) ## the layer for Yocto and the tree for Buildroot, with the checksums of what make dist made
	@$(TSX) build/recipes.ts

deb-roots: $(MODULES) ## fresh Debian roots in build/.cache for the tests of the packages (root, mmdebstrap)
	@$(TSX) test/packages/roots.ts $(RELEASE)

systemd-roots: $(MODULES) ## Debian roots in build/.cache for the tests of services under a real systemd (root, mmdebstrap)
	@$(TSX) test/systemd/roots.ts $(RELEASE)

store-servers: $(MODULES) ## servers from npm, PyPI and Go in build/.cache for test/network/real-stores.long.test.ts
	@$(TSX) test/network/store-servers-install.ts

real-releases: $(MODULES) ## two releases of Node with a patch in build/.cache for test/network/real-releases.long.test.ts
	@$(TSX) test/network/releases-install.ts

test-executables: $(MODULES) ## what dist made, whole updates: natively, and under qemu for ARM
	@ARCH='$(ARCH)' $(TSX) test/run.ts test/executable

test-dist: $(MODULES) ## the integration suite with the packed executable of this machine (T=test/integration/start.test.ts)
	@bin="$$PWD/dist/tope-updater-$$(node -p process.arch)"; \
	  [ -x "$$bin" ] || { echo "$$bin is not there: make dist makes it"; exit 1; }; \
	  TOPE_UPDATER_BIN="$$bin" $(TSX) test/run.ts $(or $(T),test/integration)

install: ## the executable of this machine to DESTDIR + PREFIX, and the systemd unit or init script
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' UNITDIR='$(UNITDIR)' ARCH='$(ARCH)' sh deploy/install.sh --from dist

uninstall: ## takes them away; configuration, state and backups stay
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' UNITDIR='$(UNITDIR)' sh deploy/install.sh --uninstall

boot-test: $(MODULES) ## a Debian with systemd in a virtual machine: boot, crash, update, power cuts
	@$(TSX) test/boot/boot-test.ts

release-check: $(MODULES) ## is this commit fit for a tag: versions, CHANGELOG, clean tree
	@$(TSX) build/release-check.ts

clean: ## takes away what was built; the downloads in build/.cache stay
	rm -rf dist coverage build/.cache/work-*

$(BUNDLE): $(MODULES) $(SOURCES) build/bundle.ts build/screen-script.ts package.json
	@$(TSX) build/bundle.ts

$(MODULES): package-lock.json
	@node -e 'const [a,b]=process.versions.node.split("."); if (a*100+ +b < 2019) { console.error("Node 20.19 or newer is needed, this is "+process.version); process.exit(1) }'
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(TOOLS): build/packaging/package-lock.json
	cd build/packaging && npm ci --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error
	@touch $@
