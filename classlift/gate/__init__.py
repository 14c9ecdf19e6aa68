"""RecallGate: champion against challenger, class by class, with statistics."""
