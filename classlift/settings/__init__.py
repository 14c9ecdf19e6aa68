"""Every setting, declared once: default, range, unit and help stand on its field.

A new one is a field of one of the dataclasses here, made by `classlift.settings.field.setting`.
From it follow the check of its range, its key in the config and in the config's schema, its line in
`classlift settings`, and, where it names a section, its place in Airflow's form; `make reference`
writes the pages anew.
"""
