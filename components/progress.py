"""Progress for people: lines that the runners pick out of a node's output."""

MARK = "classlift| "

_node = ""


def begin(node: str) -> None:
    """From here on, each line says which node it is of."""
    global _node
    _node = f"{node}: "


def say(message: str) -> None:
    """One line of progress."""
    print(f"{MARK}{_node}{message}", flush=True)
