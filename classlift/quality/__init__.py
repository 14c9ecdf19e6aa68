"""DataValidator: bad data stop the run here, with file, record and rule."""
