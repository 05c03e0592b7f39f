"""What hagit tells people and other programs about a controller.

Decides the shape of what is published. Does not know how it travels, nor when it is published.
"""
