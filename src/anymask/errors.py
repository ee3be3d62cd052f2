"""What can go wrong, as one family: `except AnymaskError` catches all of it, each with one plain sentence."""


class AnymaskError(Exception):
    """The base of every error that anymask raises on purpose."""


class ImageError(AnymaskError):
    """A picture that cannot be read, is not a picture, is too large, or cannot be written."""


class PictureSizeError(ImageError):
    """A picture with more pixels than are allowed."""


class PromptError(AnymaskError):
    """Points, labels, a box or a mask that do not make a prompt, or that do not fit the picture."""


class WeightsError(AnymaskError):
    """Weights that are missing, damaged, of another model, or cannot be fetched."""


class ModelError(AnymaskError):
    """An unknown model, device or precision, or a model that cannot do what is asked of it."""


class FormatError(AnymaskError):
    """A file format that anymask cannot write."""


class MissingExtraError(AnymaskError):
    """A part of anymask whose optional dependencies are not installed."""
