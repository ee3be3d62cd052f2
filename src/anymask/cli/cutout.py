EXAMPLES = ""


def cutout() -> None:
    """x"""
