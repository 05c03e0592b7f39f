"""The source: which commit of the followed git branch should be in force on this controller."""
