"""One module for each file that can be written for an image; each declares one ``format``.

A module in this package is a format at once; ``tests/report/test_formats.py`` requires a sample of it. It imports NumPy
and Pillow inside functions, because ``--help`` lists the formats.
"""
