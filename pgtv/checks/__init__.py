"""The checks: one file each, found by walking this package. See `declare` for what a file declares.

A check is a function from a Snapshot to Findings. It never connects and never prints.
"""
