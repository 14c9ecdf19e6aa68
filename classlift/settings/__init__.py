"""Every setting, declared once: default, range, unit and help stand on its field."""
