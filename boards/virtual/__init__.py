"""The board made of software. `harness` never imports from here; it meets this board through power,
console, SSH, lines and the host's own tools alone.
"""
