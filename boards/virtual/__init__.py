"""The board made of software. `harness` never imports from here; it meets this board through the seams of design.md 4 alone."""
