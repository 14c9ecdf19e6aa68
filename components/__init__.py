"""TFX shells, a module a component: artifacts in, one call into `classlift`, artifacts out."""
