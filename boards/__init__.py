"""Boards: one TOML file per board type, and the board made of software (`boards.virtual`)."""
