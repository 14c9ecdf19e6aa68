"""Makes the OD API importable, before a module of tests imports from it."""

from classlift.detectors.od_api import prepare

prepare()
