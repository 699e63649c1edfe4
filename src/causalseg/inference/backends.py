def is_exported(path):
    return False


def load_exported(*a, **k):
    raise NotImplementedError
