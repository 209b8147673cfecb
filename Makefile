# Bare `make` says what it can do.
.DEFAULT_GOAL := help
.PHONY: browser help demo up down reset deploy-local logs url key invoke test test-all sam-local check lint types format build openapi \
        bench lock audit clean venvs clients
.SILENT:

PORT ?= 4000
export PORT

# The real interpreter, 3.13 first; whatever runs it finds it under its own name (`sam build` asks for python3.13).
PYTHON := $(shell scripts/python)
ifeq ($(PYTHON),)
$(error Python 3.13, 3.12 or 3.11 with its venv module is needed)
endif
export PATH := $(dir $(PYTHON)):$(PATH)
export PYTHONPATH := $(CURDIR):$(CURDIR)/cli:$(CURDIR)/layers/understudy:$(CURDIR)/layers/media

# Tools keep their bytecode: without it SAM CLI starts in 5 s instead of 1.
unexport PYTHONDONTWRITEBYTECODE

RUN := .venvs/project/bin/python
SAM := SAM_CLI_TELEMETRY=0 .venvs/sam/bin/sam
RUNTIME := $(notdir $(PYTHON))

help: ## what `make` can do
	printf 'Understudy. PORT=%s; another with PORT=.\n\n' $(PORT)
	sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: venvs ## from a clip to finished videos, in one go
	$(RUN) -m local.demo

up: venvs ## start the local stack and deploy to it; DEPLOYMENTS= another deployments file
	$(RUN) -m local.stack up

deploy-local: venvs ## rebuild and redeploy to the running local stack
	$(RUN) -m local.stack deploy

down: venvs ## stop the local stack; its state stays
	$(RUN) -m local.stack down

reset: venvs ## stop the local stack and empty its state
	$(RUN) -m local.stack reset

logs: venvs ## follow the functions' logs
	$(RUN) -m local.stack logs

url: venvs ## print the base URL of the running stack
	$(RUN) -m local.stack url

key: venvs ## print a working API key of the running stack
	$(RUN) -m local.stack key

invoke: venvs ## run one function alone: FN=get_character EVENT=events/get_character.json; without FN, what there is
	$(RUN) -m local.lambda_.invoke $(FN) $(EVENT) $(ARGS)

# Three test processes keep two processors busy; each has a local stack of its own. More processors: LANES=6.
LANES ?= $(if $(UNDERSTUDY_STACK),0,3)
FREE_PORT := $(if $(filter file,$(origin PORT)),PORT=,)
PYTEST := $(FREE_PORT) $(RUN) -m pytest -n $(LANES)

test: venvs clients ## the tests, against local stacks of their own; ARGS="tests/unit -x" for a part
	$(PYTEST) $(ARGS)

test-all: venvs clients browser ## the tests with every cell of every cross product, then every event under `sam local`
	$(PYTEST) --all $(ARGS)
	$(FREE_PORT) scripts/sam-local

# Without Chromium and without the right to install it, the tests of web pages say that they did not run.
browser:
	@command -v chromium > /dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null \
	  || apt-get install -y -q chromium > /dev/null

sam-local: venvs ## every event and the openai client under `sam local`, in Docker; ARGS="-k get_video" for a part
	$(RUN) -m pytest tests/sam_local $(ARGS)

check: lint types ## format, lint, types, template and a look for secrets

lint: venvs
	mkdir -p .build
	.venvs/project/bin/ruff check .
	.venvs/project/bin/ruff format --check .
	.venvs/project/bin/lint-imports --no-logo --cache-dir .build/imports > .build/imports.txt || { cat .build/imports.txt; exit 1; }
	$(RUN) scripts/translate.py > .build/translated.json
	.venvs/project/bin/cfn-lint template.yaml .build/translated.json
	$(SAM) validate --lint --region us-east-1 > /dev/null
	$(RUN) scripts/audit.py --offline

types: venvs
	.venvs/project/bin/mypy

format: venvs ## format the code
	.venvs/project/bin/ruff check --fix .
	.venvs/project/bin/ruff format .

build: venvs ## sam build for the cloud: ARCH=x86_64 and PYTHON_RUNTIME= for others than the template's defaults
	$(SAM) build

openapi: venvs ## write docs/openapi.json from the functions
	$(RUN) scripts/openapi.py

bench: venvs ## measure everything into docs/benchmarks.md, on a local stack of its own; ARGS=--quick to try
	$(PYTHON) scripts/venvs.py bench
	$(FREE_PORT) $(RUN) -m bench $(ARGS)

lock: ## renew the lock files from their .in files; UPGRADE=--upgrade for newer versions
	$(PYTHON) scripts/lock.py $(UPGRADE)

audit: venvs ## look for secrets and for known holes in the locked packages; ARGS=--strict where advisories can be had
	$(PYTHON) scripts/venvs.py audit
	$(RUN) scripts/audit.py $(ARGS)

clean: down ## stop the local stack; remove everything that was made here
	rm -rf .aws-sam .build .local .venvs .hypothesis .mypy_cache .pytest_cache .ruff_cache demo tests/*/*/node_modules

venvs:
	$(PYTHON) scripts/venvs.py project sam ministack

# The environments of clients that the tests drive, with the npm packages of those that are Node's.
clients:
	$(PYTHON) scripts/venvs.py schema $(patsubst locks/%.txt,%,$(wildcard locks/client-*.txt))
