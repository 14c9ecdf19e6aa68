# Everything a user or a developer runs. Needs python3 and make; the rest is installed here.
SHELL := /bin/sh
ML := .venv/ml/bin/python
UV = $(shell command -v uv || echo .tools/bin/uv)
COMPOSE := .tools/compose/compose/docker-compose
S3 := .tools/s3/moto
DATA ?= ../shared/data/carla
# Names in labels are Unicode, whatever the user's locale is.
export PYTHONUTF8 := 1

.PHONY: demo reference test test-unit airflow secrets lock lint format bench bench-recipes bench-carla bench-cards bench-lift bench-gate bench-points bench-several bench-old-data bench-divisions bench-causes bench-deployment pretrained clean environments help

help:  ## this list
	@echo "  To install: make environments; then: . .venv/ml/bin/activate"
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

environments:  ## install: two Python environments below .venv, from the locks
	@python3 requirements/install.py

demo: environments  ## the whole pipeline on the demo's data, through Airflow
	@$(ML) -m demo.run

test: environments $(COMPOSE) $(S3)  ## all tests
	@# A file's tests share what they make. Three files for two cores: what runs in Airflow waits a lot.
	@OMP_NUM_THREADS=1 $(ML) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-unit: environments  ## the fast ones
	@$(ML) -m pytest -m unit

$(COMPOSE): requirements/compose.txt | environments
	@$(UV) pip install --quiet --python $(ML) --target .tools/compose --require-hashes \
	    --only-binary :all: --python-platform x86_64-manylinux_2_35 --requirement $<
	@touch $@

airflow: environments  ## the Airflow UI at http://localhost:8080 with the DAGs of configs/
	@$(ML) -m classlift airflow

$(S3): requirements/s3.txt | environments
	@$(UV) pip install --quiet --python $(ML) --target .tools/s3 --require-hashes \
	    --only-binary :all: --python-platform x86_64-manylinux_2_35 --requirement $<
	@touch $@

secrets:  ## the secrets of docker-compose.yml, in .env; what is there stays
	@python3 docker/make_secrets.py

lint: environments  ## ruff, docstrings and types
	@$(ML) -m ruff check .
	@$(ML) -m ruff format --check .
	@$(ML) -m mypy

format: environments  ## rewrite the code in the house style
	@$(ML) -m ruff check --fix-only --quiet .
	@$(ML) -m ruff format .

bench: environments  ## the figures of docs/benchmarks; DATA is a Pascal VOC folder
	@$(ML) -m benchmarks.training_step
	@$(ML) -m benchmarks.augmentation
	@$(ML) -m benchmarks.metrics
	@if [ -d "$(DATA)" ]; then $(ML) -m benchmarks.data "$(DATA)"; fi

bench-recipes: environments  ## recipes side by side on the demo, three seeds each (two hours)
	@$(ML) -m benchmarks.recipes

bench-gate: environments  ## how often the gate is wrong, on simulated models (an hour)
	@OMP_NUM_THREADS=1 $(ML) -m benchmarks.gate

bench-points: environments  ## how often operating points hold their precision, simulated (minutes)
	@OMP_NUM_THREADS=1 $(ML) -m benchmarks.operating_points

bench-several: environments  ## a new class, several weak ones, and both in one run; DATA may be the street scenes (an hour each)
	@DATA="$(DATA)" $(ML) -m benchmarks.several

bench-old-data: environments  ## champions of 5, 20 and 100% of the old data; DATA may be the cards (two hours)
	@DATA="$(DATA)" $(ML) -m benchmarks.old_data

bench-divisions: environments  ## the default and full fine-tuning on cards divided anew, five times (an hour)
	@DATA="$(DATA)" $(ML) -m benchmarks.divisions

bench-carla: environments  ## recipes on street scenes; DATA is the data set (an hour)
	@DATA="$(DATA)" $(ML) -m benchmarks.carla

bench-cards: environments  ## recipes on photographs of cards; DATA is the data set (an hour)
	@DATA="$(DATA)" $(ML) -m benchmarks.cards

bench-lift: environments  ## all tables of recipes; DATA is a folder with carla and cards (half a day)
	@$(ML) -m benchmarks.recipes
	@for name in carla cards; do if [ -d "$(DATA)/$$name" ]; then \
	  DATA="$(DATA)/$$name" $(ML) -m benchmarks.$$name || exit 1; fi; done

bench-deployment: environments  ## what Airflow on one host takes, idle and in a run (ten minutes)
	@$(ML) -m benchmarks.deployment

bench-causes: environments  ## how often the diagnosis names the true cause (half an hour)
	@$(ML) -m benchmarks.causes

reference: environments  ## the pages of docs/reference that are made of code
	@$(ML) -m classlift.cli.reference docs/reference

lock:  ## compile the locks anew from requirements/*.in
	@python3 requirements/lock.py

pretrained: environments  ## make the demo's pre-trained model anew (a quarter of an hour)
	@$(ML) -m demo.pretrain demo/model

clean:  ## remove what runs left in build/, but what is served or remembered; the environments stay
	@if [ -x $(ML) ]; then $(ML) -m pipelines.clean; else echo "run make environments first"; exit 1; fi
