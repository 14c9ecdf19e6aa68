"""ClassDiagnoser: why the class is weak, and what training should do about it."""
