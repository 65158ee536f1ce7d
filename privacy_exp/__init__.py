"""privacy_exp: how well does hiding and repainting face regions protect people from face recognisers?"""

__version__ = "0.1.0"
