"""Small folders."""


def tree(root, **contents):
    """Files below `root`; `__` in a name stands for a slash."""
    for name, content in contents.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root
