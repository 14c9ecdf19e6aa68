"""How well the served model does on freshly labelled data, time after time."""
